package adapter

import (
	"context"
	"sync"
	"time"
)

// watchTimeout bounds how long [Owner.Watch] waits for the adapter.
const watchTimeout = time.Second

// Hub holds the rooms of this node and connects them to other nodes. Its embedded [Owner]
// belongs to the program and accepts names that no module has reserved. A Hub is safe for
// concurrent use, but call [Hub.Reserve], [Owner.Intercept], [Hub.OnLost] and
// [Hub.OnDropped] before Start.
type Hub struct {
	*Owner // the program's

	adapter Adapter
	rooms   *rooms
	queues  roomQueues
	modules []*Owner // owners of modules; constant once the hub has started
	lost    []func()
	dropped func(Envelope)

	mu       sync.Mutex
	interest map[string]*interest
	started  bool
}

// interest counts the sockets and watches that need a room's envelopes.
type interest struct {
	count int
	ready <-chan struct{}
}

// NewHub returns a hub that reaches other nodes through a.
func NewHub(a Adapter) *Hub {
	h := &Hub{
		adapter:  a,
		rooms:    newRooms(),
		queues:   roomQueues{queues: make(map[string][]Envelope)},
		dropped:  func(Envelope) {},
		interest: make(map[string]*interest),
	}
	h.Owner = newOwner(h, &Names{Owner: "the program", Instead: "leave it to the program"})
	return h
}

// OnLost registers fn, which is called whenever envelopes of other nodes may have been
// missed. fn must not block.
func (h *Hub) OnLost(fn func()) { h.lost = append(h.lost, fn) }

// OnDropped registers fn, which is called for each envelope from another node that this
// node's modules would not send. Such an envelope is forged, or the other node runs other
// modules. fn must not block.
func (h *Hub) OnDropped(fn func(Envelope)) { h.dropped = fn }

// Start starts to receive from other nodes.
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

// Stop stops receiving. After it has returned nil, no more envelopes of other nodes are
// delivered.
func (h *Hub) Stop(ctx context.Context) error {
	if err := h.adapter.Stop(ctx); err != nil {
		return err
	}
	h.queues.senders.Wait()
	return nil
}

// Overflow returns how many envelopes were dropped because their room's queue was full.
func (h *Hub) Overflow() int64 { return h.queues.overflow.Load() }

// Health returns nil while other nodes can be reached.
func (h *Hub) Health(ctx context.Context) error { return h.adapter.Health(ctx) }

// receive passes an envelope from another node to the interceptor of the room's owner, or
// else to the room's sockets.
func (h *Hub) receive(env Envelope) {
	owner, ofEvent := h.ownerOf(roomNames, env.Room), h.ownerOf(eventNames, env.Event)
	fn := owner.interceptors[env.Event]
	switch {
	case ofEvent != owner && ofEvent != h.Owner:
		h.dropped(env)
	case fn != nil:
		fn(env)
	case ofEvent != h.Owner: // a module intercepts every event that it publishes
		h.dropped(env)
	default:
		h.queueLocal(env)
	}
}

// sendLocal sends env to this node's sockets in the room.
func (h *Hub) sendLocal(env Envelope) {
	Send([]*Message{{env: env}}, h.rooms.sockets(env.Room)...)
}

// queueLocal is sendLocal for a caller that also serves other rooms: a large room gets its
// own goroutine.
func (h *Hub) queueLocal(env Envelope) {
	large := len(h.rooms.sockets(env.Room)) > queueAbove
	if !h.queues.add(env, large, h.sendLocal) {
		h.sendLocal(env)
	}
}

// addInterestLocked counts one more interest in a room. It calls the adapter under the
// lock, so that the adapter sees the changes of a room in order.
func (h *Hub) addInterestLocked(room string) <-chan struct{} {
	in := h.interest[room]
	if in == nil {
		in = &interest{ready: h.adapter.Subscribe(room)}
		h.interest[room] = in
	}
	in.count++
	return in.ready
}

func (h *Hub) removeInterestLocked(room string) {
	in := h.interest[room]
	if in == nil {
		return
	}
	if in.count--; in.count == 0 {
		delete(h.interest, room)
		h.adapter.Unsubscribe(room)
	}
}
