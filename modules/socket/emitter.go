package socket

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Emitter is a program's way out to the sockets of every node. It is safe for
// concurrent use and never waits for a client. It returns an
// [adapter.ReservedError] for a room or an event that a module has reserved.
// Other errors speak of the other nodes only, unless they say that the event
// cannot be sent at all.
type Emitter struct {
	hub *adapter.Hub
	own *adapter.Owner // nil if there is an err
	err error
}

// NewEmitter returns an emitter over hub's rooms. Make it before the hub starts:
// it reserves the names of the socket module.
func NewEmitter(hub *adapter.Hub) *Emitter {
	own, err := hub.Reserve(&names)
	return &Emitter{hub: hub, own: own, err: err}
}

// To sends an event to a room's sockets on every node, this one's first. v is
// encoded as JSON, once.
func (e *Emitter) To(ctx context.Context, room, event string, v any) error {
	return e.send(ctx, e.hub.Owner, room, event, v)
}

// ToUser sends an event to all sockets of a user.
func (e *Emitter) ToUser(ctx context.Context, userID, event string, v any) error {
	if e.err != nil {
		return e.err
	}
	return e.send(ctx, e.own, userRoom(userID), event, v)
}

// send sends a program's event to a room of from.
func (e *Emitter) send(ctx context.Context, from *adapter.Owner, room, event string, v any) error {
	if err := checkEvent(e.hub.Owner, event); err != nil {
		return err
	}
	data, err := rawjson.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode event %q: %w", event, err)
	}
	return from.Emit(ctx, adapter.Envelope{Room: room, Event: event, Data: data})
}

// Disconnect ends a user's sockets on every node: their clients do not come
// back by themselves.
func (e *Emitter) Disconnect(ctx context.Context, userID string) error {
	if e.err != nil {
		return e.err
	}
	env := adapter.Envelope{Room: userRoom(userID), Event: eventDisconnect, Data: []byte("{}")}
	disconnect(e.own.Sockets(env.Room))
	return e.own.Publish(ctx, env)
}

func disconnect(sockets []adapter.Socket) {
	for _, member := range sockets {
		if s, ok := member.(*Socket); ok {
			s.Disconnect(engine.Disconnected)
		}
	}
}
