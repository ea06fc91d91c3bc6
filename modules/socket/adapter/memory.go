package adapter

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Mesh connects the memory adapters of one process.
type Mesh struct {
	mu    sync.RWMutex
	nodes []*Memory
}

// NewMesh returns an empty mesh.
func NewMesh() *Mesh { return &Mesh{} }

// Adapter returns an adapter for one more node.
func (m *Mesh) Adapter() *Memory {
	return &Memory{mesh: m, wanted: make(map[string]bool), inbox: make(chan Envelope, 1024), done: make(chan struct{})}
}

// Memory carries envelopes between the nodes of one process. It serves single nodes and
// tests.
type Memory struct {
	mesh  *Mesh
	inbox chan Envelope // publishers block when it is full
	done  chan struct{} // closed when delivery has ended

	mu      sync.RWMutex
	wanted  map[string]bool
	stop    context.CancelFunc // nil before Start
	stopped bool
}

var _ Adapter = (*Memory)(nil)

// Start implements [Adapter].
func (a *Memory) Start(_ context.Context, sink func(Envelope), _ func()) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop != nil || a.stopped {
		return errors.New("adapter: already started or stopped")
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	go a.deliver(ctx, sink)
	a.mesh.mu.Lock()
	defer a.mesh.mu.Unlock()
	a.mesh.nodes = append(a.mesh.nodes, a)
	return nil
}

func (a *Memory) deliver(ctx context.Context, sink func(Envelope)) {
	defer close(a.done)
	for {
		select {
		case env := <-a.inbox:
			if a.wants(env.Room) { // the node may have unsubscribed meanwhile
				sink(env)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Publish implements [Adapter].
func (a *Memory) Publish(ctx context.Context, env Envelope) error {
	a.mesh.mu.RLock()
	nodes := a.mesh.nodes
	a.mesh.mu.RUnlock()
	for _, node := range nodes {
		if node == a || !node.wants(env.Room) {
			continue
		}
		select {
		case node.inbox <- env:
		case <-node.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Cast implements [Adapter]. It loses nothing, because it blocks while an inbox is full.
func (a *Memory) Cast(ctx context.Context, env Envelope) bool {
	_ = a.Publish(ctx, env)
	return true
}

func (a *Memory) wants(room string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.wanted[room]
}

// Subscribe implements [Adapter].
func (a *Memory) Subscribe(room string) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wanted[room] = true
	ready := make(chan struct{})
	close(ready)
	return ready
}

// Unsubscribe implements [Adapter].
func (a *Memory) Unsubscribe(room string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.wanted, room)
}

// Health implements [Adapter].
func (a *Memory) Health(context.Context) error { return nil }

// Stop implements [Adapter].
func (a *Memory) Stop(ctx context.Context) error {
	a.mu.Lock()
	stop := a.stop
	a.stopped = true
	a.mu.Unlock()
	if stop == nil {
		return nil
	}
	a.mesh.mu.Lock()
	a.mesh.nodes = slices.DeleteFunc(slices.Clone(a.mesh.nodes), func(m *Memory) bool { return m == a }) // Publish may read the old list
	a.mesh.mu.Unlock()
	stop()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
