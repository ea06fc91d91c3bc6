// Package adaptertest is the conformance suite for adapters. It uses a cluster of three nodes
// through the interface only.
package adaptertest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// patience is how long the suite waits for an expected event.
	patience = 30 * time.Second
	// silence is how long the suite waits to check that nothing happens.
	silence = 50 * time.Millisecond
)

// Open returns the adapters of three nodes of a new cluster. They are not started; the suite
// starts and stops them. Open releases its own resources with t.Cleanup.
type Open func(t *testing.T) [3]adapter.Adapter

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"reaches the others, never the sender", testReach},
		{"reaches only nodes that are interested", testInterest},
		{"carries every part of an envelope unchanged", testUnchanged},
		{"carries a large envelope", testLarge},
		{"keeps the order of a sender in a room", testOrder},
		{"ready means that what is published now arrives", testReady},
		{"begins an interest before the start", testSubscribeBeforeStart},
		{"is interested in many rooms", testManyRooms},
		{"ends right after flapping", testFlapping},
		{"is healthy while it runs", testHealth},
		{"delivers nothing after it stopped", testSilentAfterStop},
		{"stops twice, before the start, and is of no use then", testStop},
		{"stands concurrent use", testConcurrent},
		{"lets modules alone use their names", testNames},
		{"carries requests between nodes, and their answers", testRequests},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open)
		})
	}
}

// node is one adapter, with the envelopes that it delivered.
type node struct {
	adapter.Adapter

	mu       sync.Mutex
	received []adapter.Envelope
	rooms    map[string]int
	lost     int
}

// start starts the three nodes of a new cluster.
func start(t *testing.T, open Open) [3]*node {
	t.Helper()
	var nodes [3]*node
	for i, a := range open(t) {
		nodes[i] = &node{Adapter: a, rooms: make(map[string]int)}
		nodes[i].start(t)
	}
	return nodes
}

func (n *node) start(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { n.stop(t) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Start(ctx, n.sink, n.lose); err != nil {
		t.Fatalf("start: %v", err)
	}
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func (n *node) sink(env adapter.Envelope) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.received = append(n.received, env)
	n.rooms[env.Room]++
}

func (n *node) lose() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost++
}

// join subscribes to rooms and waits until envelopes arrive.
func (n *node) join(t *testing.T, rooms ...string) {
	t.Helper()
	var ready []<-chan struct{}
	for _, room := range rooms {
		ready = append(ready, n.Subscribe(room))
	}
	for i := range ready {
		wait(t, ready[i], "the interest in "+rooms[i])
	}
}

func (n *node) publish(t *testing.T, env adapter.Envelope) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Publish(ctx, env); err != nil {
		t.Fatalf("publish to %s: %v", env.Room, err)
	}
}

// envelopes returns the envelopes delivered so far.
func (n *node) envelopes() []adapter.Envelope {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]adapter.Envelope(nil), n.received...)
}

// count returns how many envelopes of a room were delivered so far.
func (n *node) count(room string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rooms[room]
}

// wants waits until a number of envelopes of a room were delivered.
func (n *node) wants(t *testing.T, room string, count int) {
	t.Helper()
	waittest.Until(t, "envelopes of "+room, func() bool { return n.count(room) >= count })
	if got := n.count(room); got != count {
		t.Fatalf("%d envelopes of %s, want %d", got, room, count)
	}
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not within %s: %s", patience, what)
	}
}

// quiet waits, to check that nothing happens meanwhile.
func quiet() { <-time.After(silence) }
