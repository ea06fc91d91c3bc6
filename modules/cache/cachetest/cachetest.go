// Package cachetest is the conformance suite for caches: for a single process, and for
// nodes that share a tier. Call [Run].
package cachetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/cache"
)

// patience is how long the suite waits for an expected event.
const patience = 30 * time.Second

// Open returns the caches of one or more nodes, which share a tier that no other test uses.
// They are not started; the suite starts and stops them. Open releases its own resources
// with t.Cleanup.
type Open func(t *testing.T, cfg cache.Config) []*cache.Cache

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"loads once and keeps", testReadThrough},
		{"keeps what is empty, large, or looks like something else", testUnchanged},
		{"loads once for all who ask at once", testOneLoad},
		{"loads once among the nodes of a tier", testOneLoadOfNodes},
		{"answers what came of age while it is loaded anew", testStale},
		{"keeps for a short while that there is no record", testAbsent},
		{"gives an error to all who wait and does not keep it", testError},
		{"turns a panic of the load into an error", testPanic},
		{"goes on with a load whose caller leaves", testCallerLeaves},
		{"takes an entry that is too old for none", testAtLeast},
		{"never lets an older entry replace a newer", testOlderNeverReplaces},
		{"drops what is invalidated, everywhere", testInvalidate},
		{"keeps what is newer than what is invalidated", testInvalidateOlder},
		{"lets entries run out", testTTL},
		{"answers before the start and after the stop", testStop},
		{"answers nothing older than what was asked for, ever", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open)
		})
	}
}

func start(t *testing.T, open Open, cfg cache.Config) []*cache.Cache {
	t.Helper()
	nodes := open(t, cfg)
	for _, n := range nodes {
		t.Cleanup(func() { stop(t, n) })
		if err := n.Start(t.Context()); err != nil {
			t.Fatalf("start: %v", err)
		}
	}
	for i, n := range nodes {
		if i > 0 {
			hears(t, n, nodes[0], "ready "+strconv.Itoa(i))
			hears(t, nodes[0], n, "ready back "+strconv.Itoa(i))
		}
	}
	return nodes
}

// hears waits until a node receives the invalidations of another one. By then it has also dropped
// the entries that it drops when it starts to receive.
func hears(t *testing.T, n, other *cache.Cache, key string) {
	t.Helper()
	get(t, n, key, 1, at(1))
	other.Invalidate(t.Context(), key, 2)
	waittest.Until(t, "a node drops what another invalidated", func() bool { return get(t, n, key, 0, at(2)).Revision == 2 })
}

func stop(t *testing.T, c *cache.Cache) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// source is what the caches load: a record whose revision increases.
type source struct {
	revision atomic.Int64
	loads    atomic.Int64
}

func (s *source) load(context.Context) (cache.Entry, error) {
	s.loads.Add(1)
	return entry(s.revision.Load()), nil
}

func entry(revision int64) cache.Entry {
	return cache.Entry{Revision: revision, Data: []byte("revision " + strconv.FormatInt(revision, 10))}
}

// at returns a load function that returns one revision.
func at(revision int64) func(context.Context) (cache.Entry, error) {
	return func(context.Context) (cache.Entry, error) { return entry(revision), nil }
}

// none is a load function that must not be called.
func none(context.Context) (cache.Entry, error) { return cache.Entry{}, fmt.Errorf("it was loaded") }

func get(t *testing.T, c *cache.Cache, key string, atLeast int64, load func(context.Context) (cache.Entry, error)) cache.Entry {
	t.Helper()
	e, err := c.Get(t.Context(), key, atLeast, load)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return e
}

func expect(t *testing.T, e cache.Entry, revision int64) {
	t.Helper()
	if want := entry(revision); e.Revision != want.Revision || string(e.Data) != string(want.Data) {
		t.Fatalf("got revision %d with %q, want %d with %q", e.Revision, e.Data, want.Revision, want.Data)
	}
}

// waiter is a context that signals when a goroutine waits for its end.
type waiter struct {
	context.Context
	once  sync.Once
	waits func()
}

func (w *waiter) Done() <-chan struct{} {
	w.once.Do(w.waits)
	return w.Context.Done()
}
