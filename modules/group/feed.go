package group

import (
	"context"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Emitter is the way out to the sockets, as the feed needs it. socket.Emitter
// fulfils it.
type Emitter interface {
	// Watch begins this node's interest in a room and waits, briefly, until
	// envelopes of other nodes arrive; Unwatch ends it.
	Watch(ctx context.Context, room string) error
	Unwatch(room string)
	// Local sends to this node's sockets in the room, Publish to the other
	// nodes, Emit to both.
	Local(env adapter.Envelope)
	Publish(ctx context.Context, env adapter.Envelope) error
	Emit(ctx context.Context, env adapter.Envelope) error
}

// Subscriber is a socket, as the feed needs it. socket.Socket fulfils it.
// Subscribers are compared: one value a socket.
type Subscriber interface {
	ID() string
	UserID() string
	// Emit sends one event to this socket alone. It does not block.
	Emit(event string, data []byte)
	Join(room string)
	Leave(room string)
}

// Watcher is told whose subscriptions begin and end on this node, once a
// socket and group. Its methods do not block.
type Watcher interface {
	Subscribed(groupID string, s Subscriber)
	Unsubscribed(groupID string, s Subscriber, reason string)
}

// Room returns the name of the room of a group's subscribers.
func Room(groupID string) string { return "group:" + groupID }
