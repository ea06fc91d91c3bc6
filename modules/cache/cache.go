// Package cache keeps copies of records that are dear to read: in this process,
// and in a tier that the nodes share. It knows revisions, and nothing of what
// the records mean.
package cache

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// maxBytes bounds what the local tier holds.
	maxBytes = 64 << 20
	// entryCost is what an entry counts for besides its key and data, in bytes.
	entryCost = 128
	// loadTimeout bounds one load, whoever waits for it.
	loadTimeout = 10 * time.Second
)

// Entry is a record as it was at a revision. Its data is shared: read it only.
type Entry struct {
	Revision int64
	Data     []byte
}

// Tier is a cache that the nodes share. An error, and a value that cannot be
// read, is a miss: a tier that is down costs speed and nothing else.
// Implementations are safe for concurrent use and bound their own time.
type Tier interface {
	// Start begins to hear what other nodes invalidate: drop is called for each
	// of it, dropAll when some may have been missed. Neither blocks.
	Start(ctx context.Context, drop func(key string, revision int64), dropAll func()) error
	// Get returns an entry.
	Get(ctx context.Context, key string) (Entry, bool)
	// Set stores an entry unless a newer one is there.
	Set(ctx context.Context, key string, e Entry, ttl time.Duration)
	// Invalidate removes an entry older than revision and tells the other nodes.
	Invalidate(ctx context.Context, key string, revision int64)
	// Stop ends what Start began.
	Stop(ctx context.Context) error
}

// Stats counts since the start.
type Stats struct{ Local, Shared, Loads int64 }

// Cache is read-through: what it does not have it loads, once however many
// wait. An older revision never replaces a newer one. It is safe for concurrent
// use.
type Cache struct {
	local *otter.Cache[string, Entry]
	tier  Tier // nil: this process only
	ttl   time.Duration
	log   *slog.Logger
	loads singleflight.Group
	stats struct{ local, shared, loads atomic.Int64 }
}

// New returns a cache in front of tier; nil keeps it in this process.
func New(cfg Config, tier Tier, log *slog.Logger) (*Cache, error) {
	c := &Cache{tier: tier, ttl: cfg.WithDefaults().TTL, log: log}
	local, err := otter.New(&otter.Options[string, Entry]{
		MaximumWeight: maxBytes,
		Weigher: func(key string, e Entry) uint32 {
			return uint32(min(len(key)+len(e.Data)+entryCost, maxBytes))
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(otter.Entry[string, Entry]) time.Duration { return c.jittered() }),
	})
	if err != nil {
		return nil, err
	}
	// The clean-up that otter does once a second is not needed: an entry that
	// ran out is not answered, and writes make room.
	local.StopAllGoroutines()
	c.local = local
	return c, nil
}

// jittered spreads the ends of entries that were made together.
func (c *Cache) jittered() time.Duration {
	return c.ttl - c.ttl/10 + rand.N(c.ttl/5+1)
}

// Start begins to hear what other nodes invalidate.
func (c *Cache) Start(ctx context.Context) error {
	if c.tier == nil {
		return nil
	}
	return c.tier.Start(ctx, c.drop, c.local.InvalidateAll)
}

// Stop ends it.
func (c *Cache) Stop(ctx context.Context) error {
	if c.tier == nil {
		return nil
	}
	return c.tier.Stop(ctx)
}

// Stats returns how many answers came from this process, from the shared tier,
// and from a load.
func (c *Cache) Stats() Stats {
	return Stats{Local: c.stats.local.Load(), Shared: c.stats.shared.Load(), Loads: c.stats.loads.Load()}
}

// Get returns the entry of key, of revision atLeast or newer, and loads it when
// there is none. Callers who ask for a key at once share one load; each waits
// no longer than his ctx. An error of load goes to all who wait for it and is
// not kept. What load returns is believed, whatever its revision.
func (c *Cache) Get(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (Entry, error) {
	if e, ok := c.here(key, atLeast); ok {
		return e, nil
	}
	for {
		result := c.loads.DoChan(key, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
			defer cancel()
			e, err := c.fetch(ctx, key, atLeast, load)
			return flight{e, atLeast}, err
		})
		select {
		case r := <-result:
			if r.Err != nil {
				return Entry{}, r.Err
			}
			f, _ := r.Val.(flight)
			if f.entry.Revision >= atLeast || f.atLeast >= atLeast {
				return f.entry, nil
			}
			// A load that began for a caller who was content with less.
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
	}
}

func (c *Cache) here(key string, atLeast int64) (Entry, bool) {
	e, ok := c.local.GetIfPresent(key)
	if !ok || e.Revision < atLeast {
		return Entry{}, false
	}
	c.stats.local.Add(1)
	return e, true
}

// flight is what a load returned, and what it was asked for.
type flight struct {
	entry   Entry
	atLeast int64
}

// fetch asks the shared tier, then loads.
func (c *Cache) fetch(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (e Entry, err error) {
	// It runs in a goroutine of its own, where nobody else would stop a panic.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("load %s: panic: %v\n%s", key, p, debug.Stack())
		}
	}()
	// Another load may have ended since the caller looked.
	if e, ok := c.here(key, atLeast); ok {
		return e, nil
	}
	if c.tier != nil {
		if e, ok := c.tier.Get(ctx, key); ok {
			c.keep(key, e) // even when it is too old: the load may bring an older one
			if e.Revision >= atLeast {
				c.stats.shared.Add(1)
				return e, nil
			}
		}
	}
	c.stats.loads.Add(1)
	e, err = load(ctx)
	if err != nil {
		return Entry{}, err
	}
	c.keep(key, e)
	if c.tier != nil {
		c.tier.Set(ctx, key, e, c.jittered())
	}
	return e, nil
}

// keep stores an entry here unless a newer one is there.
func (c *Cache) keep(key string, e Entry) {
	c.local.Compute(key, func(old Entry, found bool) (Entry, otter.ComputeOp) {
		if found && old.Revision > e.Revision {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

// Invalidate drops an entry older than revision: here, in the shared tier and
// on the other nodes, and goes on when ctx is cancelled: what it is called for
// has happened. It saves space and reads, not callers from old records: a load
// that is under way may still keep one, and a tier that is down does not hear.
// Who must not see it asks for its revision.
func (c *Cache) Invalidate(ctx context.Context, key string, revision int64) {
	c.drop(key, revision)
	if c.tier != nil {
		c.tier.Invalidate(context.WithoutCancel(ctx), key, revision)
	}
}

func (c *Cache) drop(key string, revision int64) {
	c.local.ComputeIfPresent(key, func(old Entry) (Entry, otter.ComputeOp) {
		if old.Revision < revision {
			return old, otter.InvalidateOp
		}
		return old, otter.CancelOp
	})
}
