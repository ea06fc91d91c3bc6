package adapter

import (
	"context"
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
	return &Memory{mesh: m, wanted: make(map[string]bool), inbox: make(chan Envelope, memoryInbox)}
}

// memoryInbox is how many envelopes wait for a node before publishers wait too.
const memoryInbox = 1024

// Memory carries envelopes between the nodes of one process: the default of a
// node that stands alone, and a cluster for tests.
type Memory struct {
	mesh  *Mesh
	inbox chan Envelope
	stop  context.CancelFunc
	done  chan struct{}

	mu     sync.RWMutex
	wanted map[string]bool
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
	ctx, stop := context.WithCancel(context.Background())
	a.stop, a.done = stop, make(chan struct{})
	go func() {
		defer close(a.done)
		for {
			select {
			case env := <-a.inbox:
				sink(env)
			case <-ctx.Done():
				return
			}
		}
	}()
	a.mesh.mu.Lock()
	defer a.mesh.mu.Unlock()
	a.mesh.nodes = append(a.mesh.nodes, a)
	return nil
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
	if a.stop == nil {
		return nil
	}
	a.mesh.mu.Lock()
	nodes := make([]*Memory, 0, len(a.mesh.nodes))
	for _, node := range a.mesh.nodes {
		if node != a {
			nodes = append(nodes, node)
		}
	}
	a.mesh.nodes = nodes
	a.mesh.mu.Unlock()
	a.stop()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
