package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/cache/cachetest"
	"github.com/moim-live/moim/modules/cache/rediscache"
	"github.com/moim-live/moim/modules/redisrole"
)

var quiet = slog.New(slog.DiscardHandler)

func clients(t *testing.T, cfg redisrole.Config, node string, given map[redisrole.Role]redis.UniversalClient) *redisrole.Clients {
	t.Helper()
	c, err := redisrole.New(cfg, redisrole.NodeID(node), given)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newCache(t *testing.T, cfg cache.Config, tier cache.Tier) *cache.Cache {
	t.Helper()
	c, err := cache.New(cfg, tier, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// node returns a started cache and its tier. It waits for Redis on a busy machine.
func node(t *testing.T, url, name string) (*cache.Cache, *rediscache.Tier) {
	t.Helper()
	tier := rediscache.New(clients(t, redisrole.Config{URL: url}, name, nil), quiet).BePatient()
	c := newCache(t, cache.Config{}, tier)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return c, tier
}

func load(revision int64) func(context.Context) (cache.Entry, error) {
	return func(context.Context) (cache.Entry, error) {
		return cache.Entry{Revision: revision, Data: fmt.Append(nil, "data ", revision)}, nil
	}
}

func none(context.Context) (cache.Entry, error) { return cache.Entry{}, errors.New("it was loaded") }

func get(t *testing.T, c *cache.Cache, key string, atLeast int64, load func(context.Context) (cache.Entry, error)) int64 {
	t.Helper()
	e, err := c.Get(t.Context(), key, atLeast, load)
	if err != nil {
		t.Fatal(err)
	}
	if string(e.Data) != fmt.Sprint("data ", e.Revision) {
		t.Fatalf("revision %d holds %q", e.Revision, e.Data)
	}
	return e.Revision
}

// subscribed waits until n nodes are subscribed to invalidations.
func subscribed(t *testing.T, s *redistest.Server, n int64) {
	t.Helper()
	waittest.Until(t, "the nodes hear invalidations", func() bool {
		counts, err := s.Client().PubSubNumSub(t.Context(), "moim:cache:invalidate").Result()
		return err == nil && counts["moim:cache:invalidate"] == n
	})
}

func TestCache(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var mu sync.Mutex
	opened := 0
	run := func(t *testing.T, config func(prefix string) redisrole.Config, nodes int) {
		t.Helper()
		cachetest.Run(t, func(t *testing.T, cfg cache.Config) []*cache.Cache {
			mu.Lock()
			opened++
			prefix := fmt.Sprint("test", opened)
			mu.Unlock()
			caches := make([]*cache.Cache, nodes)
			for i := range caches {
				caches[i] = newCache(t, cfg, rediscache.New(clients(t, config(prefix), fmt.Sprint("n", i), nil), quiet).BePatient())
			}
			return caches
		})
	}
	t.Run("shared", func(t *testing.T) {
		t.Parallel()
		run(t, func(prefix string) redisrole.Config { return redisrole.Config{URL: server.URL(), Prefix: prefix} }, 2)
	})
	t.Run("dedicated", func(t *testing.T) {
		t.Parallel()
		run(t, func(prefix string) redisrole.Config { return redisrole.Config{CacheURL: server.URL(), Prefix: prefix} }, 2)
	})
	t.Run("given", func(t *testing.T) {
		t.Parallel()
		own := redis.NewClient(&redis.Options{Addr: server.Addr()})
		t.Cleanup(func() { _ = own.Close() })
		cachetest.Run(t, func(t *testing.T, cfg cache.Config) []*cache.Cache {
			mu.Lock()
			opened++
			prefix := fmt.Sprint("test", opened)
			mu.Unlock()
			given := map[redisrole.Role]redis.UniversalClient{redisrole.Cache: own}
			caches := make([]*cache.Cache, 3)
			for i := range caches {
				caches[i] = newCache(t, cfg, rediscache.New(clients(t, redisrole.Config{Prefix: prefix}, fmt.Sprint("n", i), given), quiet).BePatient())
			}
			return caches
		})
	})
}

// TestT29PoisonedValue checks that an invalid entry, or one of another version, is a miss and is
// removed.
func TestT29PoisonedValue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c, tier := node(t, server.URL(), "n1")
	ctx, raw := t.Context(), server.Client()
	poison := map[string]func(key string) error{
		"text":        func(key string) error { return raw.Set(ctx, key, "poison", 0).Err() },
		"empty":       func(key string) error { return raw.Set(ctx, key, "", 0).Err() },
		"version":     func(key string) error { return raw.Set(ctx, key, "2 9 data", 0).Err() },
		"no data":     func(key string) error { return raw.Set(ctx, key, "1 9", 0).Err() },
		"negative":    func(key string) error { return raw.Set(ctx, key, "1 -9 data", 0).Err() },
		"no revision": func(key string) error { return raw.Set(ctx, key, "1 nine data", 0).Err() },
		"a list":      func(key string) error { return raw.RPush(ctx, key, "1 9 data").Err() },
	}
	for name, set := range poison {
		if err := set("moim:cache:" + name); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := tier.Get(ctx, name); ok {
			t.Errorf("%s: taken for an entry", name)
		}
		if n := raw.Exists(ctx, "moim:cache:"+name).Val(); n != 0 {
			t.Errorf("%s: it is still there", name)
		}
		if err := set("moim:cache:" + name); err != nil {
			t.Fatal(err)
		}
		get(t, c, name, 0, load(3))
		if value := raw.Get(ctx, "moim:cache:"+name).Val(); value != "1 3 data 3" {
			t.Errorf("%s: the loaded entry did not replace it: %q", name, value)
		}
	}
	want := rediscache.Stats{Garbage: int64(2 * len(poison))}
	if got := tier.Stats(); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// TestEntriesReplaceWhatIsNone checks that an invalid value never prevents storing an entry.
func TestEntriesReplaceWhatIsNone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, tier := node(t, server.URL(), "n1")
	ctx, raw := t.Context(), server.Client()
	for _, poison := range []string{"poison", "1 99", "2 99 data", "1 -99 data"} {
		raw.Set(ctx, "moim:cache:a", poison, 0)
		tier.Set(ctx, "a", cache.Entry{Revision: 3, Data: []byte("x")}, time.Minute)
		if value := raw.Get(ctx, "moim:cache:a").Val(); value != "1 3 x" {
			t.Errorf("%q was replaced by %q", poison, value)
		}
		raw.Set(ctx, "moim:cache:a", poison, 0)
		tier.Invalidate(ctx, "a", 1)
		if n := raw.Exists(ctx, "moim:cache:a").Val(); n != 0 {
			t.Errorf("%q was not invalidated", poison)
		}
	}
}

func TestKeysRunOut(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c, tier := node(t, server.URL(), "n1")
	ctx, raw := t.Context(), server.Client()
	for i := range 20 {
		get(t, c, fmt.Sprint("k", i), 0, load(1))
	}
	get(t, c, "k0", 2, load(2))
	keys := raw.Keys(ctx, "*").Val()
	if len(keys) != 20 {
		t.Fatalf("keys %q", keys)
	}
	ttls := make(map[time.Duration]bool)
	for _, key := range keys {
		ttl := raw.PTTL(ctx, key).Val()
		if !strings.HasPrefix(key, "moim:cache:k") || ttl < 4*time.Minute || ttl > 6*time.Minute {
			t.Errorf("%s runs out after %v", key, ttl)
		}
		ttls[ttl.Truncate(100*time.Millisecond)] = true
	}
	if len(ttls) < 10 {
		t.Errorf("too many entries expire at the same time: %v", ttls)
	}
	tier.Set(ctx, "brief", cache.Entry{Revision: 1}, time.Nanosecond)
	if s := tier.Stats(); s.Errors != 0 {
		t.Errorf("a brief life is an error: %+v", s)
	}
}

// TestACallerWhoLeavesStopsNobody checks that a canceled call does not count as a failure of the
// server.
func TestACallerWhoLeavesStopsNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c, tier := node(t, server.URL(), "n1")
	get(t, c, "a", 0, load(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, ok := tier.Get(ctx, "a"); ok {
		t.Error("a canceled call returned an entry")
	}
	if _, _, ok := tier.Get(t.Context(), "a"); !ok {
		t.Error("the server is left alone because a caller left")
	}
}

func TestGarbageOnTheChannelIsCounted(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c, tier := node(t, server.URL(), "n1")
	subscribed(t, server, 1)
	waittest.Until(t, "the entry is kept", func() bool {
		get(t, c, "a", 0, load(5))
		return get(t, c, "a", 0, none) == 5
	})
	garbage := []string{"", " ", "a", "n2", "n2 6", "n2 six a", " 6 a", "n2  6 a", "\x00\xff", "n2 99999999999999999999 a"}
	for _, payload := range garbage {
		if err := server.Client().Publish(t.Context(), "moim:cache:invalidate", payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Until(t, "all of it is counted", func() bool { return tier.Stats().Garbage == int64(len(garbage)) })
	if err := server.Client().Publish(t.Context(), "moim:cache:invalidate", "n2 6 other").Err(); err != nil {
		t.Fatal(err)
	}
	get(t, c, "a", 0, none)
	if err := server.Client().Publish(t.Context(), "moim:cache:invalidate", "n2 6 a").Err(); err != nil {
		t.Fatal(err)
	}
	server.Client().Del(t.Context(), "moim:cache:a")
	waittest.Until(t, "an invalid message does not end the subscription", func() bool { return get(t, c, "a", 0, load(6)) == 6 })
}

// TestARingWillDo checks that a ring client can store entries, although it cannot subscribe.
func TestARingWillDo(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": server.Addr()}})
	t.Cleanup(func() { _ = ring.Close() })
	tier := rediscache.New(clients(t, redisrole.Config{}, "n1", map[redisrole.Role]redis.UniversalClient{redisrole.Cache: ring}), quiet).BePatient()
	c := newCache(t, cache.Config{}, tier)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	get(t, c, "a", 0, load(1))
	if e, _, ok := tier.Get(t.Context(), "a"); !ok || e.Revision != 1 {
		t.Errorf("got %+v, %t", e, ok)
	}
	c.Invalidate(t.Context(), "a", 2)
	if _, _, ok := tier.Get(t.Context(), "a"); ok {
		t.Error("it was not invalidated")
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStartsWithoutItsServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	c, _ := node(t, server.URL(), "n1")
	get(t, c, "a", 0, load(1))
	server.Restart()
	subscribed(t, server, 1)
}

func TestModule(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var c *cache.Cache
	var tier *rediscache.Tier
	app := fxtest.New(t, cache.Module, rediscache.Module, fx.NopLogger,
		fx.Supply(cache.Config{}, quiet, clients(t, redisrole.Config{URL: server.URL()}, "n1", nil)), fx.Populate(&c, &tier))
	tier.BePatient()
	app.RequireStart()
	get(t, c, "a", 0, load(1))
	if _, _, ok := tier.Get(t.Context(), "a"); !ok {
		t.Error("the cache does not use the tier")
	}
	app.RequireStop()
}

// TestBrokenValues checks that a key with a value of another type makes no call fail. It counts
// as absent and is replaced.
func TestBrokenValues(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	_, tier := node(t, s.URL(), "n1")
	client, entry, lease := s.Client(), "moim:cache:a", "moim:cache-lease:a"
	plant := func(key string) {
		if err := errors.Join(client.Del(t.Context(), key).Err(), client.RPush(t.Context(), key, "broken").Err()); err != nil {
			t.Fatal(err)
		}
	}
	plant(entry)
	tier.Set(t.Context(), "a", cache.Entry{Revision: 1, Data: []byte("x")}, time.Minute)
	if e, _, ok := tier.Get(t.Context(), "a"); !ok || e.Revision != 1 {
		t.Errorf("stored over a list: %v, %v", e, ok)
	}
	plant(entry)
	if _, _, ok := tier.Get(t.Context(), "a"); ok {
		t.Error("a list is read as an entry")
	}
	plant(entry)
	tier.Invalidate(t.Context(), "a", 2)
	if client.Exists(t.Context(), entry).Val() != 0 {
		t.Error("a list is left after an invalidation")
	}
	for name, put := range map[string]func(){
		"a list":               func() { plant(lease) },
		"a lease without end":  func() { client.Set(t.Context(), lease, "n2 1", 0) },
		"a lease for too long": func() { client.Set(t.Context(), lease, "n2 1", time.Hour) },
	} {
		put()
		release, granted := tier.Lease(t.Context(), "a")
		if !granted {
			t.Errorf("%s keeps a node from loading", name)
			continue
		}
		if _, again := tier.Lease(t.Context(), "a"); again {
			t.Errorf("after %s, two nodes have the lease", name)
		}
		plant(lease)
		release()
	}
	if s := tier.Stats(); s.Errors != 0 || s.Garbage != 4 {
		t.Errorf("%+v, want no errors and 4 values", s)
	}
}
