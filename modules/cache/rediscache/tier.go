// Package rediscache is the cache's shared tier in the cache role's Redis.
package rediscache

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// callTimeout bounds one call: beyond it the database is the faster way.
	callTimeout = 100 * time.Millisecond
	// rest is how long Redis is left alone after a call failed.
	rest = time.Second
)

var (
	//go:embed set.lua
	setSource string
	//go:embed invalidate.lua
	invalidateSource string
)

// Stats counts since the start.
type Stats struct {
	Errors  int64 // calls that failed
	Skipped int64 // calls that were not made, shortly after one failed
	Garbage int64 // values that were no entries, and messages that were no invalidations
}

// Tier keeps entries in Redis. While the server is down every call is a miss.
type Tier struct {
	clients *redisrole.Clients
	client  redis.UniversalClient
	keys    keys
	node    string
	log     *slog.Logger
	timeout time.Duration // of one call

	set, invalidate          *redis.Script
	restUntil                atomic.Int64 // Unix milliseconds; 0: not resting
	errors, skipped, garbage atomic.Int64

	sub    redis.UniversalClient
	own    bool // sub was made here
	cancel context.CancelFunc
	done   chan struct{}
}

var _ cache.Tier = (*Tier)(nil)

// New returns a tier on the cache role's client. It does no I/O.
func New(clients *redisrole.Clients, log *slog.Logger) *Tier {
	client := clients.Client(redisrole.Cache)
	if c, ok := client.(*redis.Client); ok {
		// A client that was handed in may not heed a context's deadline.
		client = c.WithTimeout(callTimeout)
	}
	return &Tier{
		clients:    clients,
		client:     client,
		keys:       keys{prefix: clients.Prefix()},
		node:       string(clients.Node()),
		log:        log,
		timeout:    callTimeout,
		set:        redis.NewScript(setSource),
		invalidate: redis.NewScript(invalidateSource),
	}
}

// Stats returns the counters.
func (t *Tier) Stats() Stats {
	return Stats{Errors: t.errors.Load(), Skipped: t.skipped.Load(), Garbage: t.garbage.Load()}
}

// call runs fn unless Redis is left alone, and leaves it alone when fn gets no
// answer. It reports whether fn succeeded.
func (t *Tier) call(ctx context.Context, fn func(context.Context) error) bool {
	now := time.Now()
	until := t.restUntil.Load()
	// When the rest is over one call tries, and the others wait for what it
	// finds.
	if until != 0 && (now.UnixMilli() < until || !t.restUntil.CompareAndSwap(until, now.Add(rest).UnixMilli())) {
		t.skipped.Add(1)
		return false
	}
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	err := fn(limited)
	var answer redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		t.wake(until)
		return err == nil
	case errors.As(err, &answer): // it is up, and refuses: full, loading, a rule
		t.wake(until)
	case ctx.Err() != nil: // the caller left; nothing is known
		if until != 0 {
			t.restUntil.Store(now.UnixMilli())
		}
		return false
	default:
		t.restUntil.Store(time.Now().Add(rest).UnixMilli())
	}
	t.errors.Add(1)
	t.log.Debug("rediscache: a call failed; the database serves", "err", err)
	return false
}

// wake ends the rest that until began with, if any.
func (t *Tier) wake(until int64) {
	if until != 0 {
		t.restUntil.Store(0)
	}
}

// Get implements [cache.Tier].
func (t *Tier) Get(ctx context.Context, key string) (cache.Entry, bool) {
	var value string
	garbage := false
	ok := t.call(ctx, func(ctx context.Context) (err error) {
		value, err = t.client.Get(ctx, t.keys.entry(key)).Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			garbage, err = true, nil
		}
		return err
	})
	if !ok {
		return cache.Entry{}, false
	}
	if !garbage {
		e, err := decode(value)
		if err == nil {
			return e, true
		}
	}
	t.garbage.Add(1)
	t.call(ctx, func(ctx context.Context) error { return t.client.Del(ctx, t.keys.entry(key)).Err() })
	return cache.Entry{}, false
}

// Set implements [cache.Tier].
func (t *Tier) Set(ctx context.Context, key string, e cache.Entry, ttl time.Duration) {
	t.call(ctx, func(ctx context.Context) error {
		return t.set.Run(ctx, t.client, []string{t.keys.entry(key)}, encode(e), e.Revision, max(ttl.Milliseconds(), 1)).Err()
	})
}

// Invalidate implements [cache.Tier].
func (t *Tier) Invalidate(ctx context.Context, key string, revision int64) {
	t.call(ctx, func(ctx context.Context) error {
		if err := t.invalidate.Run(ctx, t.client, []string{t.keys.entry(key)}, revision).Err(); err != nil {
			return err
		}
		return t.client.Publish(ctx, t.keys.invalidations(), encodeInvalidation(t.node, key, revision)).Err()
	})
}
