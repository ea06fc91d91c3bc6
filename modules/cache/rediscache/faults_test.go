package rediscache_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/cache/rediscache"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestT28KilledServer kills the server. No call may fail, and the tier must be used again after a
// restart.
func TestT28KilledServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, tier := node(t, server.URL(), "n1")
	b, _ := node(t, server.URL(), "n2")
	subscribed(t, server, 2)
	get(t, a, "a", 0, load(1))
	get(t, b, "a", 0, none)
	server.Kill()

	began := time.Now()
	for i := range 200 {
		get(t, a, fmt.Sprint("new", i), 0, load(1))
		get(t, a, "a", 0, none) // the local entry is kept
		a.Invalidate(t.Context(), fmt.Sprint("new", i), 2)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("200 answers took %v", took)
	}
	if s := tier.Stats(); s.Errors == 0 || s.Skipped < 300 {
		t.Errorf("Redis was not left alone: %+v", s)
	}

	server.Restart()
	subscribed(t, server, 2)
	waittest.Until(t, "the nodes share again", func() bool {
		key := fmt.Sprint("after", time.Now().UnixNano())
		get(t, a, key, 0, load(1))
		e, err := b.Get(t.Context(), key, 0, none)
		return err == nil && e.Revision == 1
	})
	// The node does not know which invalidations it missed, so it keeps no entry.
	if _, err := b.Get(t.Context(), "a", 0, none); err == nil {
		t.Error("an entry outlived a time in which its invalidation would not have been heard")
	}
	waittest.Until(t, "invalidations are heard again", func() bool {
		get(t, b, "b", 0, load(1))
		a.Invalidate(t.Context(), "b", 2)
		return get(t, b, "b", 0, load(2)) == 2
	})
}

// TestT27SlowServer checks that a server that hangs, or takes half a second, delays one call.
// Later calls must not use it.
func TestT27SlowServer(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"shared", "given", "late"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			proxy := proxytest.Start(t, server.Addr())
			config := redisrole.Config{URL: server.URLVia(proxy.Addr())}
			var given map[redisrole.Role]redis.UniversalClient
			if kind == "given" { // with its own settings, such as the library's defaults
				own := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
				t.Cleanup(func() { _ = own.Close() })
				config, given = redisrole.Config{}, map[redisrole.Role]redis.UniversalClient{redisrole.Cache: own}
			}
			tier := rediscache.New(clients(t, config, "n1", given), quiet)
			c := newCache(t, cache.Config{}, tier)
			waittest.Until(t, "it is used", func() bool {
				tier.Set(t.Context(), "a", cache.Entry{Revision: 1, Data: []byte("data 1")}, time.Minute)
				_, _, ok := tier.Get(t.Context(), "a")
				return ok
			})
			if kind == "late" {
				proxy.Delay(250 * time.Millisecond) // in each direction
			} else {
				proxy.Freeze()
			}
			const limit = 2500 * time.Millisecond // the library's own timeout is 3 s
			slowest := limit + 1
			for try := 0; slowest > limit && try < 3; try++ { // a busy machine may delay some
				start, all := tier.Stats(), time.Now()
				slowest = 0
				for i := range 500 {
					began := time.Now()
					get(t, c, fmt.Sprint(try, "k", i), 0, load(1))
					slowest = max(slowest, time.Since(began))
				}
				took, s := time.Since(all), tier.Stats()
				if took > 30*time.Second {
					t.Errorf("500 answers took %v", took)
				}
				most := int64(6 + 2*took/time.Second) // it is tried again every second
				if failed, skipped := s.Errors-start.Errors, s.Skipped-start.Skipped; failed == 0 || failed > most || skipped < 900 {
					t.Errorf("counted %+v, %+v before", s, start)
				}
			}
			if slowest > limit {
				t.Errorf("an answer took %v", slowest)
			}

			// When the pause ends, only one call may try the server, however many run at once.
			waittest.Until(t, "it is tried again", func() bool {
				before := tier.Stats()
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() { tier.Get(t.Context(), fmt.Sprint("k", i)) })
				}
				wg.Wait()
				after := tier.Stats()
				if n := after.Errors - before.Errors; n > 1 && time.Since(began) < time.Second {
					t.Fatalf("%d calls tried at once", n)
				}
				return after.Errors > before.Errors
			})
			proxy.Heal()
			waittest.Until(t, "it is used again", func() bool { _, _, ok := tier.Get(t.Context(), "a"); return ok })
			waittest.Until(t, "calls use the server again", func() bool {
				before := tier.Stats()
				for range 100 {
					tier.Get(t.Context(), "a")
				}
				return tier.Stats() == before
			})
		})
	}
}

// TestT28Stampede makes ten thousand callers request one record at once while the server is down.
// Each node must read the database once.
func TestT28Stampede(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, _ := node(t, server.URL(), "n1")
	b, _ := node(t, server.URL(), "n2")
	subscribed(t, server, 2)
	server.Kill()
	for _, c := range []*cache.Cache{a, b} {
		var loads atomic.Int64
		begin := make(chan struct{})
		var work sync.WaitGroup
		for range 10_000 {
			work.Go(func() {
				<-begin
				e, err := c.Get(t.Context(), "one", 0, func(ctx context.Context) (cache.Entry, error) {
					loads.Add(1)
					return load(1)(ctx)
				})
				if err != nil || e.Revision != 1 {
					t.Errorf("got %+v, %v", e, err)
				}
			})
		}
		close(begin)
		work.Wait()
		if n := loads.Load(); n != 1 {
			t.Errorf("the database was read %d times for one record", n)
		}
	}
}

// TestT24FullServer checks a server that refuses writes. It counts as up, and its entries are
// still read.
func TestT24FullServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c, tier := node(t, server.URL(), "n1")
	get(t, c, "a", 0, load(1))
	if err := server.Client().ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	get(t, c, "b", 0, load(1))
	if s := tier.Stats(); s.Errors == 0 {
		t.Fatalf("the full server stores entries: %+v", s)
	}
	if _, _, ok := tier.Get(t.Context(), "a"); !ok {
		t.Error("the full server's entries are not read")
	}
}
