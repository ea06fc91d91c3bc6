package group

import (
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// names are the module's.
var names = adapter.Names{
	Owner:   "the group module",
	Rooms:   []string{roomPrefix},
	Events:  []string{"group:", "presence:", "token:"},
	Instead: "use group.Gateway.Subscribe and a group.Translator",
}

// Reserve makes the rooms group: and the events group:, presence: and token: the
// module's on hub, and returns the right to use them. Call it once, before the
// hub starts, and pass [Feed.Receive] to [adapter.Owner.Intercept] for
// group:event.
func Reserve(hub *adapter.Hub) (*adapter.Owner, error) {
	key := names // a key of its own, so that a second call fails
	own, err := hub.Reserve(&key)
	if err != nil {
		return nil, err
	}
	own.Intercept(eventSignal, own.Deliver)
	own.Intercept(eventPresence, own.Deliver)
	return own, nil
}

// follower is a socket as the [Feed] knows it: it joins the module's rooms and
// is sent the module's events. The module uses no names of others, so that
// nothing is refused.
type follower struct {
	*socket.Socket
	own *adapter.Owner
}

var _ Subscriber = follower{}

func (f follower) Join(room string)  { _ = f.JoinAs(f.own, room) }
func (f follower) Leave(room string) { _ = f.LeaveAs(f.own, room) }
