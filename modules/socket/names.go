package socket

import (
	"fmt"
	"strings"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
)

// names are the rooms and events of this module. Each socket is in its user's room.
var names = adapter.Names{
	Owner:   "the socket module",
	Rooms:   []string{"user:", "socket:"},
	Events:  []string{"socket:"},
	Instead: "send to a user's sockets with Emitter.ToUser",
}

// eventDisconnect tells other nodes to close a user's sockets. Clients never receive it.
const eventDisconnect = "socket:disconnect"

// eventReconnect tells a plain client when to come back to another node.
const eventReconnect = "socket:reconnect"

func userRoom(userID string) string { return "user:" + userID }

// Rooms of this node alone: of one socket, and of all sockets of a namespace.
func idRoom(id string) string         { return "socket:" + id }
func allRoom(namespace string) string { return "socket:all " + namespace }

// nameEnd separates the name of a namespace other than "/" from the name of a room.
const nameEnd = "\x00"

var errRoomName = fault.ErrBadRequest.WithMessage("the name of a room must not have the character NUL")

// room returns the hub's name of a room in the namespace.
func (n *namespace) room(o *adapter.Owner, room string) (string, error) {
	switch {
	case strings.Contains(room, nameEnd):
		return "", errRoomName
	case n.name == mainNamespace:
		return room, o.CheckRoom(room)
	default:
		return n.name + nameEnd + room, nil
	}
}

// roomOf returns the room for a hub's name, and whether it is in the namespace.
func (n *namespace) roomOf(name string) (room string, in bool) {
	if n.name == mainNamespace {
		return name, true
	}
	return strings.CutPrefix(name, n.name+nameEnd)
}

// checkEvent returns an error if o may not use an event.
func checkEvent(o *adapter.Owner, event string) error {
	if event == "" || packet.Reserved(event) {
		return fmt.Errorf("socket: %q is not a valid event name", event)
	}
	return o.CheckEvent(event)
}
