package adapter

import (
	"context"
	"sync"
	"time"
)

// watchTimeout bounds how long [Owner.Watch] waits for the adapter.
const watchTimeout = time.Second

// Hub is this node's rooms and the way to the other nodes. The methods of its
// [Owner] are the program's: they take names that no module has reserved. All
// methods may be called concurrently, [Hub.Reserve], [Owner.Intercept],
// [Hub.OnLost] and [Hub.OnDropped] only before Start.
type Hub struct {
	*Owner // the program

	adapter Adapter
	rooms   *rooms
	modules []*Owner // not the program; unchanged once the hub has started
	lost    []func()
	dropped func(Envelope)

	incoming incoming

	mu       sync.Mutex
	interest map[string]*interest
	started  bool
}

// interest counts who on this node wants a room's envelopes.
type interest struct {
	count int
	ready <-chan struct{}
}

// NewHub returns a hub that reaches the other nodes through a.
func NewHub(a Adapter) *Hub {
	h := &Hub{
		adapter:  a,
		rooms:    newRooms(),
		dropped:  func(Envelope) {},
		interest: make(map[string]*interest),
	}
	h.Owner = newOwner(h, &Names{Owner: "the program", Instead: "leave it to the program"})
	return h
}

// OnLost makes fn run whenever envelopes of other nodes may have been missed.
// fn must not block.
func (h *Hub) OnLost(fn func()) { h.lost = append(h.lost, fn) }

// OnDropped makes fn run for every envelope of another node that this node's
// modules would not send: it is forged, or the other node has other modules. fn
// must not block.
func (h *Hub) OnDropped(fn func(Envelope)) { h.dropped = fn }

// Start begins to receive from other nodes.
func (h *Hub) Start(ctx context.Context) error {
	h.mu.Lock()
	h.started = true
	h.mu.Unlock()
	return h.adapter.Start(ctx, h.receive, func() {
		for _, fn := range h.lost {
			fn()
		}
	})
}

// Stop ends it. It returns once nothing is delivered from other nodes any more.
func (h *Hub) Stop(ctx context.Context) error {
	if err := h.adapter.Stop(ctx); err != nil {
		return err
	}
	h.incoming.stop()
	return nil
}

// Overflow returns how many envelopes of other nodes were dropped because too
// many waited for their room.
func (h *Hub) Overflow() int64 { return h.incoming.overflow.Load() }

// Health returns nil while other nodes can be reached.
func (h *Hub) Health(ctx context.Context) error { return h.adapter.Health(ctx) }

// receive takes an envelope of another node: for the room's owner if it
// intercepts the event, else for the room's sockets.
func (h *Hub) receive(env Envelope) {
	owner, ofEvent := h.ownerOf(roomNames, env.Room), h.ownerOf(eventNames, env.Event)
	fn := owner.interceptors[env.Event]
	switch {
	case ofEvent != owner && ofEvent != h.Owner:
		h.dropped(env)
	case fn != nil:
		fn(env)
	case ofEvent != h.Owner: // its owner sends it to no other node
		h.dropped(env)
	default:
		h.deliver(env)
	}
}

// deliver is local for a caller who serves other rooms as well, and does not
// wait for a large one.
func (h *Hub) deliver(env Envelope) {
	if large := len(h.rooms.sockets(env.Room)) > crowd; !h.incoming.add(env, large, h.local) {
		h.local(env)
	}
}

func (h *Hub) join(room string, s Socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms.add(room, s) {
		h.wantLocked(room)
	}
}

func (h *Hub) leave(room string, s Socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms.remove(room, s) {
		h.unwantLocked(room)
	}
}

func (h *Hub) watch(ctx context.Context, room string) error {
	h.mu.Lock()
	ready := h.wantLocked(room)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hub) unwatch(room string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unwantLocked(room)
}

// wantLocked counts one interest more. The adapter is told under the lock, so
// that it hears of a room's beginnings and ends in the order they happened.
func (h *Hub) wantLocked(room string) <-chan struct{} {
	in := h.interest[room]
	if in == nil {
		in = &interest{ready: h.adapter.Subscribe(room)}
		h.interest[room] = in
	}
	in.count++
	return in.ready
}

func (h *Hub) unwantLocked(room string) {
	in := h.interest[room]
	if in == nil {
		return
	}
	if in.count--; in.count == 0 {
		delete(h.interest, room)
		h.adapter.Unsubscribe(room)
	}
}
