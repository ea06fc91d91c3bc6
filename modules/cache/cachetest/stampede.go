package cachetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/cache"
)

// testOneLoadOfNodes lets all nodes request entries that no node has, as after the shared
// tier was emptied.
func testOneLoadOfNodes(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	const tries = 3
	for try := range tries {
		if loadOnce(t, nodes, fmt.Sprint(try, "-")) {
			return
		}
	}
	t.Errorf("%d times too many nodes loaded the same", tries)
}

// loadOnce reports whether at most a few nodes waited for another node's load and then
// loaded as well, which may happen on a busy machine.
func loadOnce(t *testing.T, nodes []*cache.Cache, prefix string) bool {
	t.Helper()
	const keys = 20
	var s source
	s.revision.Store(1)
	slow := func(ctx context.Context) (cache.Entry, error) {
		tick := time.NewTimer(20 * time.Millisecond)
		defer tick.Stop()
		<-tick.C
		return s.load(ctx)
	}
	var all sync.WaitGroup
	for i := range keys {
		for _, n := range nodes {
			for range 50 {
				all.Go(func() {
					if e, err := n.Get(t.Context(), prefix+strconv.Itoa(i), 1, slow); err != nil || e.Revision != 1 {
						t.Errorf("got revision %d, %v", e.Revision, err)
					}
				})
			}
		}
	}
	all.Wait()
	n := s.loads.Load()
	t.Logf("%d loads for %d keys on %d nodes", n, keys, len(nodes))
	if n < keys || n > int64(keys*len(nodes)) {
		t.Errorf("%d loads for %d keys on %d nodes", n, keys, len(nodes))
	}
	return n <= keys*3/2
}

// testStale checks that no caller waits when an entry becomes stale. It tries several
// entries, because the first may expire while the machine is suspended.
func testStale(t *testing.T, open Open) {
	c := start(t, open, cache.Config{TTL: 3 * time.Second})[0]
	const tries = 3
	for try := range tries {
		if answersStale(t, c, strconv.Itoa(try)) {
			return
		}
	}
	t.Errorf("%d times a caller waited for the load of a stale entry", tries)
}

// answersStale reports whether an entry was returned until, and while, it was loaded again.
func answersStale(t *testing.T, c *cache.Cache, key string) bool {
	t.Helper()
	var s source
	expect(t, get(t, c, key, 0, s.load), 0)
	s.revision.Store(1)
	begun, release := make(chan struct{}), make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	begin := sync.OnceFunc(func() { close(begun) })
	slow := func(ctx context.Context) (cache.Entry, error) {
		begin()
		<-release
		return s.load(ctx)
	}
	waited := false
	waittest.Until(t, "the entry is loaded again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e, err := c.Get(ctx, key, 0, slow)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			waited = true
			return true
		case err != nil:
			t.Fatal(err)
		}
		expect(t, e, 0)
		select {
		case <-begun:
			return true
		default:
			return false
		}
	})
	if waited {
		return false
	}
	free()
	waittest.Until(t, "the new entry is there", func() bool { return get(t, c, key, 0, none).Revision == 1 })
	if n := s.loads.Load(); n != 2 {
		t.Errorf("%d loads, want the first and the second", n)
	}
	return true
}

// testAbsent repeatedly requests a record that does not exist.
func testAbsent(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	c := nodes[0]
	missing := errors.New("there is no such record")
	loads := 0
	for range 100 {
		_, err := c.Get(t.Context(), "a", 0, func(context.Context) (cache.Entry, error) {
			loads++
			return cache.Entry{}, cache.Absent(missing)
		})
		if err != missing { //nolint:errorlint // the contract says: unwrapped
			t.Fatalf("got %v", err)
		}
	}
	if loads != 1 {
		t.Errorf("%d loads, want 1", loads)
	}
	// A caller that knows a higher revision must not be told that the record is absent.
	expect(t, get(t, c, "a", 1, at(1)), 1)
	expect(t, get(t, c, "a", 0, none), 1)
	_, err := c.Get(t.Context(), "b", 0, func(context.Context) (cache.Entry, error) { return cache.Entry{}, cache.Absent(missing) })
	if !errors.Is(err, missing) {
		t.Errorf("got %v", err)
	}
	nodes[len(nodes)-1].Invalidate(t.Context(), "b", 1)
	waittest.Until(t, "a record is found after it was created", func() bool {
		e, err := c.Get(t.Context(), "b", 0, at(1))
		return err == nil && e.Revision == 1
	})
}
