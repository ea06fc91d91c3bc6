package adaptertest

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func testReady(t *testing.T, open Open) {
	nodes := start(t, open)
	for i := range 100 {
		nodes[1].join(t, room(i))
		nodes[0].publish(t, adapter.Envelope{Room: room(i), Event: "e"})
	}
	for i := range 100 {
		nodes[1].wants(t, room(i), 1)
	}
}

func testSubscribeBeforeStart(t *testing.T, open Open) {
	var nodes [3]*node
	var ready <-chan struct{}
	for i, a := range open(t) {
		nodes[i] = &node{Adapter: a, rooms: make(map[string]int)}
		if i == 1 {
			ready = a.Subscribe("early")
			a.Subscribe("changed my mind")
			a.Unsubscribe("changed my mind")
		}
		nodes[i].start(t)
	}
	wait(t, ready, "the interest that began before the start")
	nodes[0].publish(t, adapter.Envelope{Room: "changed my mind", Event: "e"})
	nodes[0].publish(t, adapter.Envelope{Room: "early", Event: "e"})
	nodes[1].wants(t, "early", 1)
	quiet()
	nodes[1].wants(t, "changed my mind", 0)
}

func testManyRooms(t *testing.T, open Open) {
	const rooms = 3000
	nodes := start(t, open)
	names := make([]string, rooms)
	for i := range names {
		names[i] = room(i)
	}
	nodes[1].join(t, names...)
	for _, name := range names {
		nodes[0].publish(t, adapter.Envelope{Room: name, Event: "e"})
	}
	for _, name := range names {
		nodes[1].wants(t, name, 1)
	}
	for _, name := range names[1:] {
		nodes[1].Unsubscribe(name)
	}
	for _, name := range names {
		nodes[0].publish(t, adapter.Envelope{Room: name, Event: "e"})
	}
	nodes[1].wants(t, names[0], 2)
	quiet()
	for _, name := range names[1:] {
		nodes[1].wants(t, name, 1)
	}
}

func testFlapping(t *testing.T, open Open) {
	nodes := start(t, open)
	nodes[1].join(t, "fence")
	for round := range 20 {
		on, off := room(2*round), room(2*round+1)
		for range 1 + round {
			nodes[1].Subscribe(off)
			nodes[1].Unsubscribe(off)
			nodes[1].Subscribe(on)
			nodes[1].Unsubscribe(on)
		}
		wait(t, nodes[1].Subscribe(on), "the last interest")
		nodes[0].publish(t, adapter.Envelope{Room: off, Event: "e"})
		nodes[0].publish(t, adapter.Envelope{Room: on, Event: "e"})
		nodes[0].publish(t, adapter.Envelope{Room: "fence", Event: "e"})
		nodes[1].wants(t, on, 1)
		nodes[1].wants(t, "fence", round+1)
		nodes[1].wants(t, off, 0)
	}
	quiet()
	for round := range 20 {
		nodes[1].wants(t, room(2*round+1), 0)
	}
}

func testHealth(t *testing.T, open Open) {
	nodes := start(t, open)
	for _, n := range nodes {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := n.Health(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		n.mu.Lock()
		if n.lost != 0 {
			t.Error("lost was called, though nothing was")
		}
		n.mu.Unlock()
	}
}

func testSilentAfterStop(t *testing.T, open Open) {
	nodes := open(t)
	var calls, stopped [3]atomic.Int32
	for i, a := range nodes {
		sink := func(adapter.Envelope) {
			calls[i].Add(1)
			// slow, so that Stop is called during the call
			for began := time.Now(); time.Since(began) < 200*time.Microsecond; {
				runtime.Gosched()
			}
			if stopped[i].Load() != 0 {
				t.Errorf("node %d was delivering after Stop had returned", i)
			}
		}
		n := &node{Adapter: a}
		t.Cleanup(func() { n.stop(t) })
		if err := a.Start(t.Context(), sink, func() {}); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			n.join(t, "r")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = nodes[0].Publish(ctx, adapter.Envelope{Room: "r", Event: "e"})
		}
	}()
	defer func() {
		cancel()
		<-done
	}()
	waittest.Until(t, "the first envelopes", func() bool { return calls[1].Load() > 0 && calls[2].Load() > 0 })
	for i := 1; i < 3; i++ {
		if err := nodes[i].Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		stopped[i].Store(1)
		before, others := calls[i].Load(), calls[2].Load()
		if i == 1 {
			waittest.Until(t, "envelopes for the node that still runs", func() bool { return calls[2].Load() > others+20 })
		}
		quiet()
		if got := calls[i].Load(); got != before {
			t.Errorf("node %d received %d envelopes after Stop had returned", i, got-before)
		}
	}
}

func testStop(t *testing.T, open Open) {
	adapters := open(t)
	fresh := &node{Adapter: adapters[0], rooms: make(map[string]int)}
	fresh.stop(t)
	fresh.stop(t)
	if err := fresh.Start(t.Context(), fresh.sink, fresh.lose); err == nil {
		t.Error("Start succeeded after Stop")
	}
	used := &node{Adapter: adapters[1], rooms: make(map[string]int)}
	used.start(t)
	if err := used.Start(t.Context(), used.sink, used.lose); err == nil {
		t.Error("Start succeeded twice")
	}
	used.join(t, "r")
	used.stop(t)
	used.stop(t)
	for _, n := range []*node{fresh, used} {
		n.Subscribe("late")
		n.Unsubscribe("late")
		n.Unsubscribe("r")
		// it may fail, but must return
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_ = n.Publish(ctx, adapter.Envelope{Room: "r", Event: "e"})
		_ = n.Health(ctx)
		if ctx.Err() != nil {
			t.Error("a stopped adapter holds its callers")
		}
		cancel()
	}
}
