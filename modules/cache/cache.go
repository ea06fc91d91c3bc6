// Package cache keeps copies of records that are expensive to read: in this process (the
// local tier), and in a tier that the nodes share. Create a [Cache] with [New]. The package
// knows the revisions of records, but not their meaning.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// maxBytes bounds the size of the local tier.
	maxBytes = 64 << 20
	// entryCost is the assumed size of an entry in bytes, in addition to its key and data.
	entryCost = 128
	// loadTimeout limits a load.
	loadTimeout = 10 * time.Second
	// maxAbsent limits how long the absence of a record is cached.
	maxAbsent = 5 * time.Second
	// leaseWait is how long a node waits while another node loads the same key. leasePoll
	// is the interval at which it looks for the entry.
	leaseWait = 250 * time.Millisecond
	leasePoll = 10 * time.Millisecond
)

// Entry is a record at a revision. Do not modify Data, which callers share.
type Entry struct {
	Revision int64
	Data     []byte
}

// Tier is a cache that the nodes share. Errors and values that cannot be decoded
// are misses, so a tier that is down only makes reads slower. Implementations
// are safe for concurrent use and bound the time of each call.
type Tier interface {
	// Start subscribes to invalidations from other nodes. The tier calls drop for each one,
	// and dropAll if it may have missed some. Both must not block.
	Start(ctx context.Context, drop func(key string, revision int64), dropAll func()) error
	// Get returns an entry and how long it may still be used.
	Get(ctx context.Context, key string) (e Entry, ttl time.Duration, ok bool)
	// Set stores an entry unless a newer one is stored.
	Set(ctx context.Context, key string, e Entry, ttl time.Duration)
	// Lease claims the right to load a key. No other node gets it until release is
	// called or a short time has passed. A tier that is down grants it.
	Lease(ctx context.Context, key string) (release func(), granted bool)
	// Invalidate removes an entry older than revision, here and on the other nodes.
	Invalidate(ctx context.Context, key string, revision int64)
	// Stop ends the subscription.
	Stop(ctx context.Context) error
}

// Absent marks the error that a load returns if there is no record. The cache keeps it for
// at most five seconds, so that repeated requests are cheap. [Cache.Get] returns err
// itself.
func Absent(err error) error { return absent{err} }

type absent struct{ error }

// Unwrap returns the marked error.
func (a absent) Unwrap() error { return a.error }

// Stats counts the results of [Cache.Get] since the start, by source.
type Stats struct{ Local, Shared, Loads int64 }

// Cache is a read-through cache. It loads a missing entry once for all callers
// and, while the shared tier works, once for all nodes. After the TTL, Get still
// returns an entry for a tenth of the TTL while one load replaces it
// (stale-while-revalidate). An older revision never replaces a newer one. A
// Cache is safe for concurrent use.
type Cache struct {
	local *otter.Cache[string, record]
	tier  Tier // may be nil
	ttl   time.Duration
	log   *slog.Logger
	loads singleflight.Group
	stats struct{ local, shared, loads atomic.Int64 }
}

// record is an entry, or the absence of one.
type record struct {
	Entry
	absent  error // nil if there is an entry
	stale   time.Time
	expires time.Time // when it must not be used any more, even while it is being replaced
}

// New returns a cache in front of tier, which may be nil.
func New(cfg Config, tier Tier, log *slog.Logger) (*Cache, error) {
	c := &Cache{tier: tier, ttl: cfg.WithDefaults().TTL, log: log}
	local, err := otter.New(&otter.Options[string, record]{
		MaximumWeight: maxBytes,
		Weigher: func(key string, r record) uint32 {
			return uint32(min(len(key)+len(r.Data)+entryCost, maxBytes))
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, record]) time.Duration {
			return max(time.Until(e.Value.expires), 1)
		}),
	})
	if err != nil {
		return nil, err
	}
	// No goroutine needs to remove expired entries: otter does not return them, and writes
	// remove them.
	local.StopAllGoroutines()
	c.local = local
	return c, nil
}

// jitteredTTL spreads the expiry of entries that were loaded together.
func (c *Cache) jitteredTTL() time.Duration {
	return c.ttl - c.ttl/10 + rand.N(c.ttl/5+1)
}

// Start subscribes to invalidations of other nodes.
func (c *Cache) Start(ctx context.Context) error {
	if c.tier == nil {
		return nil
	}
	return c.tier.Start(ctx, c.drop, c.local.InvalidateAll)
}

// Stop ends the subscription.
func (c *Cache) Stop(ctx context.Context) error {
	if c.tier == nil {
		return nil
	}
	return c.tier.Stop(ctx)
}

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	return Stats{Local: c.stats.local.Load(), Shared: c.stats.shared.Load(), Loads: c.stats.loads.Load()}
}

// Get returns the entry of key at revision atLeast or newer. It loads the entry
// if the cache has none. Concurrent callers share one load, and each waits until
// its ctx ends. An error of load goes to all of them and is not cached, unless
// it is [Absent]. Get returns what load returns, whatever its revision.
func (c *Cache) Get(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (Entry, error) {
	if r, ok := c.lookup(key, atLeast); ok {
		if time.Now().After(r.stale) {
			c.loads.DoChan(key, c.loader(ctx, key, atLeast, load)) // in the background
		}
		return r.Entry, r.absent
	}
	for {
		select {
		case done := <-c.loads.DoChan(key, c.loader(ctx, key, atLeast, load)):
			if done.Err != nil {
				return Entry{}, done.Err
			}
			r, _ := done.Val.(result)
			if r.Revision >= atLeast || r.atLeast >= atLeast {
				return r.Entry, r.absent
			}
			// The load began for a caller with a lower atLeast, so try again.
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
	}
}

// result is the result of a load for revision atLeast.
type result struct {
	record
	atLeast int64
}

// loader returns a function that loads a key for all callers. It does not end
// with the context of one of them.
func (c *Cache) loader(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) func() (any, error) {
	return func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		r, err := c.fetch(ctx, key, atLeast, load)
		return result{r, atLeast}, err
	}
}

// lookup returns the record in the local tier.
func (c *Cache) lookup(key string, atLeast int64) (record, bool) {
	r, ok := c.local.GetIfPresent(key)
	if !ok || r.Revision < atLeast {
		return record{}, false
	}
	c.stats.local.Add(1)
	return r, true
}

// fetch gets a record from the shared tier, or else loads it.
func (c *Cache) fetch(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (r record, err error) {
	// A panic here would end the process, because singleflight does not recover.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("load %s: panic: %v\n%s", key, p, debug.Stack())
		}
	}()
	// Another load may have ended after the caller's lookup.
	if r, ok := c.lookup(key, atLeast); ok && time.Now().Before(r.stale) {
		return r, nil
	}
	if c.tier == nil {
		return c.load(ctx, key, load)
	}
	if r, ok := c.shared(ctx, key, atLeast); ok {
		return r, nil
	}
	release, granted := c.tier.Lease(ctx, key)
	for waited := time.Duration(0); !granted && waited < leaseWait && ctx.Err() == nil; waited += leasePoll {
		tasks.Pause(ctx, leasePoll)
		if r, ok := c.shared(ctx, key, atLeast); ok {
			return r, nil
		}
	}
	if granted {
		defer release()
	}
	r, err = c.load(ctx, key, load)
	if err == nil && r.absent == nil {
		c.tier.Set(ctx, key, r.Entry, time.Until(r.stale))
	}
	return r, err
}

// shared gets an entry from the shared tier.
func (c *Cache) shared(ctx context.Context, key string, atLeast int64) (record, bool) {
	e, ttl, ok := c.tier.Get(ctx, key)
	if !ok {
		return record{}, false
	}
	r := c.keep(key, record{Entry: e}, ttl) // even if it is too old, because a load may also return an older one
	if e.Revision < atLeast {
		return record{}, false
	}
	c.stats.shared.Add(1)
	return r, true
}

func (c *Cache) load(ctx context.Context, key string, load func(context.Context) (Entry, error)) (record, error) {
	c.stats.loads.Add(1)
	e, err := load(ctx)
	if gone, ok := errors.AsType[absent](err); ok {
		return c.keep(key, record{Entry: Entry{Revision: e.Revision}, absent: gone.error}, min(c.jitteredTTL()/10, maxAbsent)), nil
	}
	if err != nil {
		return record{}, err
	}
	return c.keep(key, record{Entry: e}, c.jitteredTTL()), nil
}

// keep stores a record in the local tier unless a newer one is stored.
func (c *Cache) keep(key string, r record, ttl time.Duration) record {
	r.stale = time.Now().Add(ttl)
	r.expires = r.stale
	if r.absent == nil {
		r.expires = r.stale.Add(ttl / 10)
	}
	c.local.Compute(key, func(old record, found bool) (record, otter.ComputeOp) {
		if found && old.Revision > r.Revision {
			return old, otter.CancelOp
		}
		if found && old.Revision == r.Revision && old.absent == nil && r.absent == nil && old.expires.After(r.expires) {
			r.expires = old.expires // a copy with a short TTL does not shorten it
		}
		return r, otter.WriteOp
	})
	return r
}

// Invalidate removes an entry older than revision from the local tier, the shared
// tier and the other nodes. It continues if ctx is canceled, because the change
// has happened.
//
// Old records may still be returned afterwards: a load that runs may store one,
// and a tier that is down removes none. A caller that must not get an old record
// passes the revision to [Cache.Get].
func (c *Cache) Invalidate(ctx context.Context, key string, revision int64) {
	c.drop(key, revision)
	if c.tier != nil {
		c.tier.Invalidate(context.WithoutCancel(ctx), key, revision)
	}
}

func (c *Cache) drop(key string, revision int64) {
	c.local.ComputeIfPresent(key, func(old record) (record, otter.ComputeOp) {
		if old.Revision < revision {
			return old, otter.InvalidateOp
		}
		return old, otter.CancelOp
	})
}
