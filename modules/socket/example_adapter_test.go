package socket_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
)

// broker stands for a message broker that the program already uses. It passes every envelope to
// every node except the sender's.
type broker struct {
	mu    sync.Mutex
	nodes map[*brokerAdapter]bool
}

// brokerAdapter is the adapter of one node. The broker's mutex guards it.
type brokerAdapter struct {
	broker *broker
	used   bool // it was started or stopped, so it cannot be started again
	sink   func(adapter.Envelope)
	rooms  map[string]bool // the rooms in which this node has sockets
}

var _ adapter.Adapter = (*brokerAdapter)(nil)

func (b *broker) node() *brokerAdapter {
	return &brokerAdapter{broker: b, rooms: make(map[string]bool)}
}

// Start starts to receive. This broker loses no envelopes.
func (a *brokerAdapter) Start(_ context.Context, sink func(adapter.Envelope), _ func()) error {
	a.broker.mu.Lock()
	defer a.broker.mu.Unlock()
	if a.used {
		return errors.New("broker: a node starts once")
	}
	a.used, a.sink = true, sink
	a.broker.nodes[a] = true
	return nil
}

// Publish calls the sinks one after the other, so the order is kept. They do not block.
func (a *brokerAdapter) Publish(_ context.Context, env adapter.Envelope) error {
	a.broker.mu.Lock()
	defer a.broker.mu.Unlock()
	for node := range a.broker.nodes {
		if node != a && node.rooms[env.Room] {
			node.sink(env)
		}
	}
	return nil
}

func (a *brokerAdapter) Cast(ctx context.Context, env adapter.Envelope) bool {
	return a.Publish(ctx, env) == nil
}

func (a *brokerAdapter) Subscribe(room string) <-chan struct{} {
	a.broker.mu.Lock()
	defer a.broker.mu.Unlock()
	a.rooms[room] = true
	ready := make(chan struct{})
	close(ready)
	return ready
}

func (a *brokerAdapter) Unsubscribe(room string) {
	a.broker.mu.Lock()
	defer a.broker.mu.Unlock()
	delete(a.rooms, room)
}

func (a *brokerAdapter) Health(context.Context) error { return nil }

// Stop waits for the mutex, so no sink runs any more.
func (a *brokerAdapter) Stop(context.Context) error {
	a.broker.mu.Lock()
	defer a.broker.mu.Unlock()
	a.used = true
	delete(a.broker.nodes, a)
	return nil
}

// TestBrokerAdapter runs the suite that every adapter must pass.
func TestBrokerAdapter(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, func(*testing.T) [3]adapter.Adapter {
		b := &broker{nodes: make(map[*brokerAdapter]bool)}
		return [3]adapter.Adapter{b.node(), b.node(), b.node()}
	})
}

// The program's own adapter carries the events between its nodes. The suite in adaptertest checks
// the adapter.
func Example_ownAdapter() {
	b := &broker{nodes: make(map[*brokerAdapter]bool)}
	hubs := []*adapter.Hub{adapter.NewHub(b.node()), adapter.NewHub(b.node())}
	out := socket.NewEmitter(hubs[0])
	one, two := host(hubs[0], tokenIsName), host(hubs[1], tokenIsName)
	defer one.stop()
	defer two.stop()
	bob := two.visit("bob")
	defer bob.close()

	check(out.ToUser("bob").Emit(context.Background(), "mail", "from another node"))
	fmt.Println(bob.receive())
	// Output:
	// {"event":"mail","data":"from another node"}
}
