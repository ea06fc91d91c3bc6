package adapter

import (
	"context"
	"errors"
	"sync"
)

// Mesh joins the memory adapters of one process. The zero value is not usable:
// make one with [NewMesh].
type Mesh struct {
	mu    sync.RWMutex
	nodes []*Memory
}

// NewMesh returns a mesh without nodes.
func NewMesh() *Mesh { return &Mesh{} }

// Adapter returns the adapter of one more node.
func (m *Mesh) Adapter() *Memory {
	return &Memory{mesh: m, wanted: make(map[string]bool), inbox: make(chan Envelope, memoryInbox), done: make(chan struct{})}
}

// memoryInbox is how many envelopes wait for a node before publishers wait too.
const memoryInbox = 1024

// Memory carries envelopes between the nodes of one process: the default of a
// node that stands alone, and a cluster for tests.
type Memory struct {
	mesh  *Mesh
	inbox chan Envelope
	done  chan struct{} // closed once nothing is delivered any more

	mu      sync.RWMutex
	wanted  map[string]bool
	stop    context.CancelFunc // nil before Start
	stopped bool
}

var _ Adapter = (*Memory)(nil)

// closedChan is the ready channel of interests that need no waiting.
var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Start implements [Adapter].
func (a *Memory) Start(_ context.Context, sink func(Envelope), _ func()) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop != nil || a.stopped {
		return errors.New("adapter: started already, or stopped")
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	go a.deliver(ctx, sink)
	a.mesh.add(a)
	return nil
}

func (a *Memory) deliver(ctx context.Context, sink func(Envelope)) {
	defer close(a.done)
	for {
		select {
		case env := <-a.inbox:
			if a.wants(env.Room) { // the interest may have ended since
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

// Cast implements [Adapter]. In one process nothing need be lost: it waits for
// room.
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
	return closedChan
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
	a.mesh.remove(a)
	stop()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Mesh) add(node *Memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes = append(m.nodes, node)
}

// remove makes a new list: publishers may be reading the old one.
func (m *Mesh) remove(node *Memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	nodes := make([]*Memory, 0, len(m.nodes))
	for _, other := range m.nodes {
		if other != node {
			nodes = append(nodes, other)
		}
	}
	m.nodes = nodes
}
