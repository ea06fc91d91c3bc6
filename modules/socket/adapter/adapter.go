// Package adapter holds a node's rooms and the way to the other nodes.
//
// The [Hub] knows which sockets of this node are in which room and delivers to
// them; an [Adapter] carries envelopes to the other nodes and nothing else.
// Neither knows what an event means. A module reserves its rooms and events with
// the hub and gets an [Owner], with which it alone uses them and intercepts those
// that need more than delivery.
//
// Lock order: the hub's, then the rooms' or what an adapter keeps of this
// node's interests. None is held across I/O, nor while a socket is written to.
// What an adapter holds while it calls the sink, to keep a room's order, comes
// before all of them.
package adapter

import (
	"context"

	"github.com/moim-live/moim/modules/socket/engine"
)

// Envelope is one encoded event for a room on its way to other nodes. It is
// shared by everyone who handles it: never modify it.
type Envelope struct {
	Room   string
	Event  string
	Data   []byte   // the event's data, already JSON
	Except string   // id of a socket that must not receive it, or empty
	To     []string // user ids that it is limited to; empty: the whole room
	Meta   string   // for the event's interceptor; sockets never see it
}

// Adapter carries envelopes to the other nodes. Implementations are safe for
// concurrent use, keep the order of one sender's envelopes per room, and
// deliver at most once. They leave this node's sockets to the [Hub], so that an
// error speaks of other nodes only.
type Adapter interface {
	// Start begins to receive and returns when the adapter is usable, or at
	// once, healing in the background, when its server is down. sink is called
	// for every envelope of another node whose room this node is interested
	// in, one room's envelopes one after the other; it does not block.
	// lost is called after envelopes may have been missed (a reconnection).
	Start(ctx context.Context, sink func(Envelope), lost func()) error

	// Publish hands env to every other node that is interested in its room;
	// never to this one.
	Publish(ctx context.Context, env Envelope) error

	// Cast is Publish for what may be lost: it does not wait for what becomes
	// of env. It reports false, and has sent nothing, when too much is on its
	// way already. One sender's envelopes keep their order, whichever way they
	// go.
	Cast(ctx context.Context, env Envelope) bool

	// Subscribe begins this node's interest in room. It records the wish and
	// returns; the channel is closed once envelopes published from then on
	// will arrive, which may be never while the server is down.
	Subscribe(room string) (ready <-chan struct{})

	// Unsubscribe ends this node's interest in room. Like Subscribe it does
	// not block; calls for one room take effect in the order they were made.
	Unsubscribe(room string)

	// Health returns nil while envelopes can be sent and received.
	Health(ctx context.Context) error

	// Stop returns once no call to sink is running or will run.
	Stop(ctx context.Context) error
}

// Codec encodes an event for one kind of connection. Codecs are compared:
// sockets with equal codecs share one frame a broadcast.
type Codec interface {
	Event(event string, data []byte) *engine.Frame
}

// Socket is a member of rooms: one client connection on this node.
type Socket interface {
	ID() string
	UserID() string
	Codec() Codec
	// Send writes f, or queues it. It never blocks: a socket whose queue is full
	// is closed.
	Send(f *engine.Frame)
	// SendAll is Send for several frames, which go out in one write where they
	// can. It does not keep the slice.
	SendAll(frames []*engine.Frame)
}
