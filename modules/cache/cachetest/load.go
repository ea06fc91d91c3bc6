package cachetest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/modules/cache"
)

func testReadThrough(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	before := make([]cache.Stats, len(nodes))
	for i, n := range nodes {
		before[i] = n.Stats()
	}
	expect(t, get(t, nodes[0], "a", 0, at(3)), 3)
	for _, n := range nodes {
		for range 3 {
			expect(t, get(t, n, "a", 3, none), 3)
		}
		if e := get(t, n, "b", 0, at(7)); e.Revision != 7 {
			t.Errorf("another key answers revision %d", e.Revision)
		}
	}
	for i, n := range nodes {
		s := n.Stats()
		got := cache.Stats{Local: s.Local - before[i].Local, Shared: s.Shared - before[i].Shared, Loads: s.Loads - before[i].Loads}
		want := cache.Stats{Local: 2, Shared: 2}
		if i == 0 {
			want = cache.Stats{Local: 3, Loads: 2}
		}
		if got != want {
			t.Errorf("node %d counts %+v, want %+v", i, got, want)
		}
	}
}

func testUnchanged(t *testing.T, open Open) {
	nodes := start(t, open, cache.Config{})
	for key, data := range map[string]string{
		"empty":        "",
		"zero":         "\x00",
		"spaces":       " 1 2 3 ",
		"bytes":        "\xff\xfe\r\n",
		"large":        strings.Repeat("x", 1<<20),
		"a key \r\n *": "1 99 data",
		"":             "no key",
	} {
		want := cache.Entry{Revision: 1 << 40, Data: []byte(data)}
		get(t, nodes[0], key, 0, func(context.Context) (cache.Entry, error) { return want, nil })
		for i, n := range nodes {
			if e := get(t, n, key, 1<<40, none); string(e.Data) != data || e.Revision != want.Revision {
				t.Errorf("%q on node %d: got revision %d with %d bytes", key, i, e.Revision, len(e.Data))
			}
		}
	}
}

func testOneLoad(t *testing.T, open Open) {
	const callers = 10_000
	c := start(t, open, cache.Config{})[0]
	var s source
	s.revision.Store(4)
	release := make(chan struct{})
	load := func(ctx context.Context) (cache.Entry, error) {
		<-release
		return s.load(ctx)
	}
	var all sync.WaitGroup
	var begun atomic.Int64
	for range callers {
		all.Go(func() {
			// The load ends when half of the callers have started. Some callers wait for it, some
			// arrive when it ends, and some later.
			if begun.Add(1) == callers/2 {
				close(release)
			}
			e, err := c.Get(t.Context(), "a", 4, load)
			if err != nil || e.Revision != 4 {
				t.Errorf("got revision %d, %v", e.Revision, err)
			}
		})
	}
	all.Wait()
	if n := s.loads.Load(); n != 1 {
		t.Errorf("%d loads for %d callers", n, callers)
	}

	// These loads end at once, while other callers are about to wait for them.
	const keys = 500
	s.loads.Store(0)
	for i := range keys {
		gate := make(chan struct{})
		for range 32 {
			all.Go(func() {
				<-gate
				if _, err := c.Get(t.Context(), strconv.Itoa(i), 4, s.load); err != nil {
					t.Error(err)
				}
			})
		}
		close(gate)
		all.Wait()
	}
	if n := s.loads.Load(); n != keys {
		t.Errorf("%d loads for %d keys", n, keys)
	}
}

func testError(t *testing.T, open Open) {
	const callers = 100
	c := start(t, open, cache.Config{})[0]
	broken := errors.New("broken")
	release := make(chan struct{})
	var loads atomic.Int64
	var all, waiting sync.WaitGroup
	waiting.Add(callers)
	for range callers {
		all.Go(func() {
			ctx := &waiter{Context: t.Context(), waits: waiting.Done}
			_, err := c.Get(ctx, "a", 0, func(context.Context) (cache.Entry, error) {
				loads.Add(1)
				<-release
				return cache.Entry{}, broken
			})
			if !errors.Is(err, broken) {
				t.Errorf("got %v, want the load's error", err)
			}
		})
	}
	waiting.Wait()
	close(release)
	all.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("%d loads for %d callers", n, callers)
	}
	expect(t, get(t, c, "a", 0, at(1)), 1)
}

func testPanic(t *testing.T, open Open) {
	c := start(t, open, cache.Config{})[0]
	_, err := c.Get(t.Context(), "a", 0, func(context.Context) (cache.Entry, error) { panic("oh") })
	if err == nil || !strings.Contains(err.Error(), "oh") {
		t.Errorf("got %v, want the panic of the load", err)
	}
	expect(t, get(t, c, "a", 0, at(1)), 1)
}

func testCallerLeaves(t *testing.T, open Open) {
	c := start(t, open, cache.Config{})[0]
	first, leave := context.WithCancel(t.Context())
	defer leave()
	begun, release, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := c.Get(first, "a", 0, func(ctx context.Context) (cache.Entry, error) {
			close(begun)
			<-release
			if ctx.Err() != nil {
				return cache.Entry{}, ctx.Err()
			}
			return entry(5), nil
		})
		left <- err
	}()
	<-begun
	waits := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		e, err := c.Get(&waiter{Context: t.Context(), waits: func() { close(waits) }}, "a", 0, none)
		if err != nil || e.Revision != 5 {
			t.Errorf("the caller that kept waiting got revision %d, %v", e.Revision, err)
		}
	})
	<-waits
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	close(release)
	all.Wait()
	expect(t, get(t, c, "a", 5, none), 5)
}
