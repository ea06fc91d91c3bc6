// Package adapter holds the rooms of a node and connects them to other nodes.
//
// A [Hub] knows which sockets of this node are in which room, and sends to them. An
// [Adapter] carries envelopes to other nodes. Neither knows what an event means. A module
// reserves the names of its rooms and events with [Hub.Reserve] and gets an [Owner]. Only
// the Owner can use these names and intercept their events from other nodes.
//
// Lock order: the hub, then the rooms or an adapter's own locks. No lock is held across I/O
// or while a socket is written to. An adapter may hold a lock while it calls the sink, to
// keep a room's order; that lock comes before all others.
package adapter

import (
	"context"

	"github.com/moim-live/moim/modules/socket/engine"
)

// Envelope is one encoded event for a room. It is shared: do not modify it.
type Envelope struct {
	Room   string
	Event  string
	Data   []byte   // JSON: the argument, or several separated by commas if List is set
	List   bool     // Data has no argument or several
	Binary [][]byte // attachments; Data has a placeholder for each: see packet.EncodeArgs
	Except string   // id of a socket that must not receive it, or empty
	To     []string // user ids that receive it; all users in the room if empty
	Meta   string   // for the event's interceptor; sockets never see it
	Offset string   // name of the event, by which clients say what they saw last; may be empty

	// Trace is the traceparent of the change, for the event's interceptor on other nodes. It
	// is empty unless the change is traced. Only intercepted envelopes have it.
	Trace string

	// Volatile events are dropped for sockets whose clients cannot take them at once.
	Volatile bool

	// Lossy events are dropped for sockets with a long queue. They never cause a socket to
	// be closed.
	Lossy bool
}

// Adapter carries envelopes to other nodes. Implementations are safe for concurrent use,
// keep the order of one sender's envelopes in a room, and deliver at most once. They do not
// send to this node's own sockets; the [Hub] does. So their errors are about other nodes
// only.
type Adapter interface {
	// Start starts to receive, and returns when the adapter is usable. If its server is
	// down, Start returns soon and the adapter recovers in the background. The adapter
	// calls sink for each envelope from another node whose room this node is subscribed to.
	// Calls for the same room do not overlap. sink must not block. The adapter calls lost
	// after it may have missed envelopes, for example after a reconnection.
	Start(ctx context.Context, sink func(Envelope), lost func()) error

	// Publish sends env to all other nodes that are subscribed to its room.
	Publish(ctx context.Context, env Envelope) error

	// Cast is Publish without waiting for the result, so env may be lost. It returns false
	// and sends nothing if too many envelopes are being published. Envelopes of Publish and
	// Cast keep their common order.
	Cast(ctx context.Context, env Envelope) bool

	// Subscribe subscribes this node to room. It does not block. The channel is closed once
	// envelopes that are published from then on arrive. While the server is down, that does
	// not happen.
	Subscribe(room string) (ready <-chan struct{})

	// Unsubscribe ends the subscription. It does not block. Calls for one room take
	// effect in order.
	Unsubscribe(room string)

	// Health returns nil while envelopes can be sent and received.
	Health(ctx context.Context) error

	// Stop stops the adapter. When it returns nil, sink is not called any more.
	Stop(ctx context.Context) error
}

// Codec encodes an event for one protocol. The hub compares codecs: sockets with equal
// codecs share a frame.
type Codec interface {
	// Event encodes Event, Data and Binary of an envelope.
	Event(env Envelope) *engine.Frame
}

// Socket is one client connection on this node. It can be in rooms.
type Socket interface {
	ID() string
	UserID() string
	Codec() Codec
	// Send writes f, or queues it. It never blocks. If the queue is full, the socket is
	// closed.
	Send(f *engine.Frame)
	// Writable reports whether the client can take a frame at once.
	Writable() bool
	// SendAll is Send for several frames, in one write where possible. It does not keep the
	// slice.
	SendAll(frames []*engine.Frame)
}
