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

	set, invalidate          *redis.Script
	restUntil                atomic.Int64 // Unix milliseconds
	errors, skipped, garbage atomic.Int64

	sub    redis.UniversalClient
	cancel context.CancelFunc
	done   chan struct{}
}

var _ cache.Tier = (*Tier)(nil)

// New returns a tier on the cache role's client. It does no I/O.
func New(clients *redisrole.Clients, log *slog.Logger) *Tier {
	return &Tier{
		clients:    clients,
		client:     clients.Client(redisrole.Cache),
		keys:       keys{prefix: clients.Prefix()},
		node:       string(clients.Node()),
		log:        log,
		set:        redis.NewScript(setSource),
		invalidate: redis.NewScript(invalidateSource),
	}
}

// Stats returns the counters.
func (t *Tier) Stats() Stats {
	return Stats{Errors: t.errors.Load(), Skipped: t.skipped.Load(), Garbage: t.garbage.Load()}
}

// call runs fn unless Redis is left alone, and leaves it alone when fn fails.
// It reports whether fn succeeded.
func (t *Tier) call(ctx context.Context, fn func(context.Context) error) bool {
	if time.Now().UnixMilli() < t.restUntil.Load() {
		t.skipped.Add(1)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := fn(ctx)
	if err == nil || errors.Is(err, redis.Nil) {
		return err == nil
	}
	t.errors.Add(1)
	t.restUntil.Store(time.Now().Add(rest).UnixMilli())
	t.log.Debug("rediscache: a call failed; the database serves", "err", err)
	return false
}

// Get implements [cache.Tier].
func (t *Tier) Get(ctx context.Context, key string) (cache.Entry, bool) {
	var value string
	ok := t.call(ctx, func(ctx context.Context) (err error) {
		value, err = t.client.Get(ctx, t.keys.entry(key)).Result()
		return err
	})
	if !ok {
		return cache.Entry{}, false
	}
	e, err := decode(value)
	if err != nil {
		t.garbage.Add(1)
		t.call(ctx, func(ctx context.Context) error { return t.client.Del(ctx, t.keys.entry(key)).Err() })
		return cache.Entry{}, false
	}
	return e, true
}

// Set implements [cache.Tier].
func (t *Tier) Set(ctx context.Context, key string, e cache.Entry, ttl time.Duration) {
	t.call(ctx, func(ctx context.Context) error {
		return t.set.Run(ctx, t.client, []string{t.keys.entry(key)}, encode(e), e.Revision, ttl.Milliseconds()).Err()
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
