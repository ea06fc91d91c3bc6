package group

import (
	"strings"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Events for a group's subscribers.
const (
	EventPushed   = "group:event"    // data: Event
	EventClosed   = "group:closed"   // data: {groupId, reason}
	EventSignal   = "group:signal"   // data: {groupId, from, type, data}; it is not stored
	EventPresence = "group:presence" // data: {groupId, items}
	EventRead     = "group:read"     // data: {groupId, items}
	EventMine     = "group:mine"     // data: {groupId, type}; to a user's sockets that asked for it
	EventExpiring = "token:expiring" // data: {expiresAt}; to a socket whose token expires soon
)

// roomPrefix is the prefix of the name of every group's room.
const roomPrefix = "group:"

// Room returns the name of the room of a group's subscribers.
func Room(groupID string) string { return roomPrefix + groupID }

// MineRoom returns the name of the room of a user's sockets that are told when the list of
// the user's groups changes. No group id is like it: those are UUIDs.
func MineRoom(userID string) string { return roomPrefix + "of:" + userID }

// OfRoom returns the group of a room.
func OfRoom(room string) (groupID string, ok bool) { return strings.CutPrefix(room, roomPrefix) }

// names are the rooms and events that belong to this module.
var names = adapter.Names{
	Owner:   "the group module",
	Rooms:   []string{roomPrefix},
	Events:  []string{"group:", "presence:", "token:"},
	Instead: "use api.Gateway.Subscribe and a group.Translator",
}

// Reserve reserves rooms that begin with group: and events that begin with group:,
// presence: or token: on hub, and returns their owner. Call it once, before the hub starts.
// Pass [feed.Feed.Receive] to [adapter.Owner.Intercept] for group:event.
func Reserve(hub *adapter.Hub) (*adapter.Owner, error) {
	key := names // a new address, so that a second Reserve fails
	own, err := hub.Reserve(&key)
	if err != nil {
		return nil, err
	}
	own.Intercept(EventSignal, own.EmitLocalQueued)
	own.Intercept(EventPresence, own.EmitLocalQueued)
	own.Intercept(EventRead, own.EmitLocalQueued)
	own.Intercept(EventMine, own.EmitLocalQueued)
	return own, nil
}
