package socket

import (
	"fmt"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
)

// names are the socket module's. Every socket of a user is in the user's room.
var names = adapter.Names{
	Owner:   "the socket module",
	Rooms:   []string{"user:"},
	Events:  []string{"socket:"},
	Instead: "send to a user's sockets with Emitter.ToUser",
}

// eventDisconnect is the envelope that ends a user's sockets on other nodes.
// No socket ever receives it.
const eventDisconnect = "socket:disconnect"

func userRoom(userID string) string { return "user:" + userID }

// checkEvent returns why o cannot use an event.
func checkEvent(o *adapter.Owner, event string) error {
	if event == "" || packet.Reserved(event) {
		return fmt.Errorf("socket: no event can be called %q", event)
	}
	return o.CheckEvent(event)
}
