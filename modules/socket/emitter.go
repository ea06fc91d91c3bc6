package socket

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// eventDisconnect is the envelope that ends a user's sockets on other nodes.
// No socket ever receives it.
const eventDisconnect = "socket:disconnect"

// Emitter is the way out to the sockets of every node. It is safe for
// concurrent use and never waits for a client. Errors of its methods speak of
// the other nodes only, unless they say that the event cannot be sent at all.
type Emitter struct{ hub *adapter.Hub }

// NewEmitter returns an emitter over hub's rooms.
func NewEmitter(hub *adapter.Hub) *Emitter { return &Emitter{hub: hub} }

// To sends an event to a room's sockets on every node, this one's first. v is
// encoded as JSON, once.
func (e *Emitter) To(ctx context.Context, room, event string, v any) error {
	if event == "" || packet.Reserved(event) {
		return fmt.Errorf("socket: no event can be called %q", event)
	}
	data, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode event %q: %w", event, err)
	}
	return e.hub.Emit(ctx, adapter.Envelope{Room: room, Event: event, Data: data})
}

// ToUser sends an event to all sockets of a user.
func (e *Emitter) ToUser(ctx context.Context, userID, event string, v any) error {
	return e.To(ctx, UserRoom(userID), event, v)
}

// Disconnect ends a user's sockets on every node: their clients do not come
// back by themselves.
func (e *Emitter) Disconnect(ctx context.Context, userID string) error {
	env := adapter.Envelope{Room: UserRoom(userID), Event: eventDisconnect, Data: []byte("{}")}
	e.disconnectLocal(env)
	return e.hub.Publish(ctx, env)
}

func (e *Emitter) disconnectLocal(env adapter.Envelope) {
	for _, member := range e.hub.Sockets(env.Room) {
		if s, ok := member.(*Socket); ok {
			s.Disconnect(engine.Disconnected)
		}
	}
}

// Watch begins this node's interest in a room's envelopes without a socket and
// waits, up to a second, until they arrive. Every Watch needs its
// [Emitter.Unwatch].
func (e *Emitter) Watch(ctx context.Context, room string) error { return e.hub.Watch(ctx, room) }

// Unwatch ends an interest that [Emitter.Watch] began.
func (e *Emitter) Unwatch(room string) { e.hub.Unwatch(room) }

// Sockets returns this node's sockets in a room. The slice is shared: read it
// only.
func (e *Emitter) Sockets(room string) []adapter.Socket { return e.hub.Sockets(room) }

// Publish sends an encoded event to the other nodes only.
func (e *Emitter) Publish(ctx context.Context, env adapter.Envelope) error {
	return e.hub.Publish(ctx, env)
}

// Cast sends an encoded event that may be lost to its room's sockets on every
// node. It waits for no other node, unless too much is on its way to them.
func (e *Emitter) Cast(ctx context.Context, env adapter.Envelope) { e.hub.Cast(ctx, env) }
