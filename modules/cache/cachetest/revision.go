package cachetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/cache"
)

func testAtLeast(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	c := nodes[0]
	expect(t, get(t, c, "a", 0, at(5)), 5)
	expect(t, get(t, c, "a", 5, none), 5)
	expect(t, get(t, c, "a", 6, at(7)), 7)
	for _, n := range nodes {
		expect(t, get(t, n, "a", 6, none), 7)
		expect(t, get(t, n, "a", 8, at(9)), 9)
		expect(t, get(t, c, "a", 9, none), 9)
		expect(t, get(t, c, "a", 0, none), 9)
		c.Invalidate(t.Context(), "a", 10)
		expect(t, get(t, c, "a", 0, at(7)), 7)
	}
	// A caller must not wait forever for a revision that the database does not have.
	expect(t, get(t, c, "old", 9, at(3)), 3)

	// A caller that needs a higher revision must not get the result of a load for a lower
	// one.
	begun, release, waits := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		e, err := c.Get(t.Context(), "b", 1, func(context.Context) (cache.Entry, error) {
			close(begun)
			<-release
			return entry(1), nil
		})
		if err != nil || e.Revision != 1 {
			t.Errorf("got revision %d, %v", e.Revision, err)
		}
	})
	<-begun
	all.Go(func() {
		e, err := c.Get(&waiter{Context: t.Context(), waits: func() { close(waits) }}, "b", 2, at(2))
		if err != nil || e.Revision != 2 {
			t.Errorf("the caller for revision 2 got revision %d, %v", e.Revision, err)
		}
	})
	<-waits
	close(release)
	all.Wait()
}

func testOlderNeverReplaces(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	expect(t, get(t, nodes[0], "a", 0, at(5)), 5)
	last := nodes[len(nodes)-1]
	expect(t, get(t, nodes[0], "a", 6, at(4)), 4) // it is returned, but not kept
	expect(t, get(t, nodes[0], "a", 0, none), 5)
	expect(t, get(t, last, "a", 0, none), 5)
	expect(t, get(t, last, "a", 6, at(4)), 4)
	for _, n := range nodes {
		expect(t, get(t, n, "a", 5, none), 5)
	}
	// Revisions are compared as numbers, not as text.
	expect(t, get(t, last, "b", 0, at(10)), 10)
	expect(t, get(t, last, "b", 11, at(9)), 9)
	for _, n := range nodes {
		expect(t, get(t, n, "b", 0, none), 10)
	}
}

func testInvalidate(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	first, last := nodes[0], nodes[len(nodes)-1]
	// The last node has no entry in its local tier, so without a load its answer comes from
	// the shared tier.
	expect(t, get(t, first, "a", 0, at(5)), 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the change has happened, even if the caller has left
	last.Invalidate(ctx, "a", 6)
	expect(t, get(t, last, "a", 0, at(6)), 6)

	// A node that has the entry receives the invalidation.
	for i, n := range nodes {
		revision := int64(10 * (i + 1))
		s := &source{}
		s.revision.Store(revision)
		waittest.Until(t, "every node may hold an entry", func() bool {
			return get(t, n, "a", revision, s.load).Revision == revision
		})
		first.Invalidate(t.Context(), "a", revision+1)
		s.revision.Store(revision + 1)
		waittest.Until(t, "a node drops what another invalidated", func() bool {
			return get(t, n, "a", 0, s.load).Revision == revision+1
		})
	}
	last.Invalidate(t.Context(), "never seen", 3)
	expect(t, get(t, first, "never seen", 0, at(3)), 3)
}

func testInvalidateOlder(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	for _, n := range nodes {
		get(t, n, "a", 0, at(5))
		get(t, n, "mark", 0, at(1))
	}
	for _, n := range nodes {
		n.Invalidate(t.Context(), "a", 4)
		n.Invalidate(t.Context(), "a", 5)
	}
	// Messages of one node arrive in order, so all earlier ones have arrived when the mark
	// arrives.
	nodes[0].Invalidate(t.Context(), "mark", 2)
	for _, n := range nodes {
		waittest.Until(t, "the mark arrives", func() bool { return get(t, n, "mark", 0, at(2)).Revision == 2 })
		expect(t, get(t, n, "a", 0, none), 5)
	}
}

func testTTL(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{TTL: 100 * time.Millisecond})
	for _, n := range nodes {
		var s source
		get(t, n, "a", 0, s.load)
		s.revision.Store(1)
		waittest.Until(t, "the entry runs out", func() bool { return get(t, n, "a", 0, s.load).Revision == 1 })
		n.Invalidate(t.Context(), "a", 2)
	}
}

func testStop(t *testing.T, open Open) {
	nodes := open(t, cache.Config{})
	for _, n := range nodes {
		stop(t, n)
		expect(t, get(t, n, "a", 1, at(1)), 1)
	}
	nodes = start(t, open, cache.Config{})
	for _, n := range nodes {
		expect(t, get(t, n, "a", 1, at(1)), 1)
		stop(t, n)
		stop(t, n)
		expect(t, get(t, n, "a", 1, none), 1)
		n.Invalidate(t.Context(), "a", 2)
		expect(t, get(t, n, "a", 0, at(2)), 2)
		n.Invalidate(t.Context(), "a", 3)
	}
}

// testConcurrent reads on every node with the current revision while it increases.
func testConcurrent(t *testing.T, open Open) {
	const readers, reads, changes = 8, 200, 100
	nodes := start(t, open, cache.Config{})
	var s source
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			n := nodes[i%len(nodes)]
			for range reads {
				now := s.revision.Load()
				e, err := n.Get(t.Context(), "a", now, s.load)
				if err != nil || e.Revision < now || string(e.Data) != string(entry(e.Revision).Data) {
					t.Errorf("asked for %d and got revision %d with %q, %v", now, e.Revision, e.Data, err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for i := range changes {
			nodes[i%len(nodes)].Invalidate(t.Context(), "a", s.revision.Add(1))
		}
	})
	all.Wait()
	if head := s.revision.Load(); head != changes {
		t.Errorf("revision %d", head)
	}
}
