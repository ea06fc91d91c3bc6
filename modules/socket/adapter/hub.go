package adapter

import (
	"context"
	"sync"
	"time"
)

// watchTimeout bounds how long [Hub.Watch] waits for the adapter.
const watchTimeout = time.Second

// Hub is this node's rooms and the way to the other nodes. Its methods may be
// called concurrently, [Hub.Intercept] and [Hub.OnLost] only before Start.
type Hub struct {
	adapter      Adapter
	rooms        *rooms
	interceptors map[string]func(Envelope)
	lost         []func()
	incoming     incoming

	mu       sync.Mutex
	interest map[string]*interest
}

// interest counts who on this node wants a room's envelopes.
type interest struct {
	count int
	ready <-chan struct{}
}

// NewHub returns a hub that reaches the other nodes through a.
func NewHub(a Adapter) *Hub {
	return &Hub{
		adapter:      a,
		rooms:        newRooms(),
		interceptors: make(map[string]func(Envelope)),
		interest:     make(map[string]*interest),
	}
}

// Intercept makes fn receive the envelopes of one event that other nodes sent,
// instead of the room's sockets. fn must not block.
func (h *Hub) Intercept(event string, fn func(Envelope)) { h.interceptors[event] = fn }

// OnLost makes fn run whenever envelopes of other nodes may have been missed.
// fn must not block.
func (h *Hub) OnLost(fn func()) { h.lost = append(h.lost, fn) }

// Start begins to receive from other nodes.
func (h *Hub) Start(ctx context.Context) error {
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

func (h *Hub) receive(env Envelope) {
	if fn := h.interceptors[env.Event]; fn != nil {
		fn(env)
		return
	}
	if large := len(h.rooms.sockets(env.Room)) > crowd; !h.incoming.add(env, large, h.Local) {
		h.Local(env)
	}
}

// Join puts s into a room. Envelopes of other nodes begin to arrive soon
// after; use [Hub.Watch] first where none may be missed.
func (h *Hub) Join(room string, s Socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms.add(room, s) {
		h.wantLocked(room)
	}
}

// Leave takes s out of a room.
func (h *Hub) Leave(room string, s Socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms.remove(room, s) {
		h.unwantLocked(room)
	}
}

// Watch begins an interest in a room's envelopes without a socket, and waits
// up to a second until they arrive. After an error they will arrive once the
// adapter is healthy. Every Watch needs its [Hub.Unwatch].
func (h *Hub) Watch(ctx context.Context, room string) error {
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

// Unwatch ends an interest that [Hub.Watch] began.
func (h *Hub) Unwatch(room string) {
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

// Emit sends env to its room on every node: to this one's sockets first. The
// error speaks of the other nodes only.
func (h *Hub) Emit(ctx context.Context, env Envelope) error {
	h.Local(env)
	return h.adapter.Publish(ctx, env)
}

// Cast is Emit for what may be lost: it does not wait for the other nodes'
// server, unless too much is on its way, and nobody hears whether they were
// reached. They are sent to first, so that what takes time there begins while
// this node's sockets are served.
func (h *Hub) Cast(ctx context.Context, env Envelope) {
	if h.adapter.Cast(ctx, env) {
		h.Local(env)
		return
	}
	_ = h.Emit(ctx, env)
}

// Publish sends env to the other nodes only.
func (h *Hub) Publish(ctx context.Context, env Envelope) error { return h.adapter.Publish(ctx, env) }

// Sockets returns this node's sockets in a room. The slice is shared: read it
// only.
func (h *Hub) Sockets(room string) []Socket { return h.rooms.sockets(room) }
