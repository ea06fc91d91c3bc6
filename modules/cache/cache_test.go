package cache_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/cache/cachetest"
)

func TestCache(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t *testing.T, cfg cache.Config) []*cache.Cache {
		c, err := cache.New(cfg, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return []*cache.Cache{c}
	})
}

// TestCacheIsBounded checks that the local tier is limited by bytes, not by entries.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c, err := cache.New(cache.Config{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const size, entries = 1 << 20, 200
	load := func(context.Context) (cache.Entry, error) { return cache.Entry{Data: make([]byte, size)}, nil }
	keys := make([]string, entries)
	for i := range keys {
		keys[i] = string(rune('a' + i))
		if _, err := c.Get(t.Context(), keys[i], 0, load); err != nil {
			t.Fatal(err)
		}
	}
	none := func(context.Context) (cache.Entry, error) { return cache.Entry{}, errors.New("it is gone") }
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for { // entries are removed a moment later
		there := 0
		for _, key := range keys {
			if _, err := c.Get(t.Context(), key, 0, none); err == nil {
				there++
			}
		}
		if there > 0 && there < 64 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d entries of 1 MiB are still there", there)
		}
	}
}

// recordingTier is a tier that holds one entry until it expires, and records the entry's lifetime.
type recordingTier struct {
	cache.Tier

	entry cache.Entry
	ttl   time.Duration
	left  time.Duration // the remaining lifetime that it reports once it holds an entry
}

func (s *recordingTier) Get(context.Context, string) (cache.Entry, time.Duration, bool) {
	return s.entry, s.left, s.ttl > 0
}

func (s *recordingTier) Set(_ context.Context, _ string, e cache.Entry, ttl time.Duration) {
	s.entry, s.ttl = e, ttl
}

func (s *recordingTier) Lease(context.Context, string) (release func(), granted bool) {
	return func() {}, true
}

// TestGraceOutlivesTheTier checks the moment between the expiry in this process and the expiry in
// the tier. A caller that finds the entry in the tier then must still get answers for a tenth of
// its lifetime.
func TestGraceOutlivesTheTier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tier := &recordingTier{left: time.Millisecond}
		c, err := cache.New(cache.Config{TTL: time.Minute}, tier, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		get := func(what string) {
			t.Helper()
			release := make(chan struct{})
			defer close(release)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Get(ctx, "a", 0, func(context.Context) (cache.Entry, error) {
				<-release
				return cache.Entry{}, nil
			})
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			synctest.Wait()
		}
		if _, err := c.Get(t.Context(), "a", 0, func(context.Context) (cache.Entry, error) { return cache.Entry{}, nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(tier.ttl + time.Nanosecond)
		get("when it came of age")
		tier.ttl = 0 // it has expired there
		time.Sleep(2 * time.Second)
		get("2 s later, when the tier has it no more")
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if got := (cache.Config{}).WithDefaults().TTL; got != 5*time.Minute {
		t.Errorf("the default is %v", got)
	}
	for ttl, valid := range map[time.Duration]bool{
		time.Second: true, time.Hour: true, 24 * time.Hour: true,
		time.Millisecond: false, 25 * time.Hour: false, -time.Second: false,
	} {
		if err := (cache.Config{TTL: ttl}).Validate(); (err == nil) != valid {
			t.Errorf("%v: %v", ttl, err)
		}
	}
}

func TestModule(t *testing.T) {
	t.Parallel()
	var c *cache.Cache
	app := fxtest.New(t, cache.Module, fx.Supply(cache.Config{}, slog.New(slog.DiscardHandler)), fx.Populate(&c), fx.NopLogger)
	app.RequireStart()
	if _, err := c.Get(t.Context(), "a", 0, func(context.Context) (cache.Entry, error) { return cache.Entry{}, nil }); err != nil {
		t.Error(err)
	}
	app.RequireStop()
}
