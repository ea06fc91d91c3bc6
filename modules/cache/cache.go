// Package cache keeps copies of records that are dear to read: in this process,
// and in a tier that the nodes share. It knows revisions, and nothing of what
// the records mean.
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
	// maxBytes bounds what the local tier holds.
	maxBytes = 64 << 20
	// entryCost is what an entry counts for besides its key and data, in bytes.
	entryCost = 128
	// loadTimeout bounds one load, whoever waits for it.
	loadTimeout = 10 * time.Second
	// maxAbsent bounds for how long it is believed that there is no record.
	maxAbsent = 5 * time.Second
	// leaseWait is how long a node waits for the one that loads what it wants
	// as well, and leaseLook how often it looks.
	leaseWait = 250 * time.Millisecond
	leaseLook = 10 * time.Millisecond
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
	// Get returns an entry and how long it may still be used.
	Get(ctx context.Context, key string) (e Entry, ttl time.Duration, ok bool)
	// Set stores an entry unless a newer one is there.
	Set(ctx context.Context, key string, e Entry, ttl time.Duration)
	// Lease asks to be the one node that loads a key now, for a short time: no
	// other is, until release is called. A tier that is down grants it.
	Lease(ctx context.Context, key string) (release func(), granted bool)
	// Invalidate removes an entry older than revision and tells the other nodes.
	Invalidate(ctx context.Context, key string, revision int64)
	// Stop ends what Start began.
	Stop(ctx context.Context) error
}

// Absent marks err as what a load returns when there is no record: it is kept
// for a few seconds, at most five, so that asking again and again costs
// nothing. [Cache.Get] returns err itself.
func Absent(err error) error { return absent{err} }

type absent struct{ error }

// Unwrap returns what was marked.
func (a absent) Unwrap() error { return a.error }

// Stats counts since the start.
type Stats struct{ Local, Shared, Loads int64 }

// Cache is read-through: what it does not have it loads, once however many
// wait, and once among the nodes of a tier while that can be had. An entry that
// has come of age is answered for a while longer, a tenth of its time, while
// one load replaces it. An older revision never replaces a newer one. It is
// safe for concurrent use.
type Cache struct {
	local *otter.Cache[string, record]
	tier  Tier // nil: this process only
	ttl   time.Duration
	log   *slog.Logger
	loads singleflight.Group
	stats struct{ local, shared, loads atomic.Int64 }
}

// record is an entry, or that there is none, and until when it is fresh.
type record struct {
	Entry
	absent error
	fresh  time.Time
	ends   time.Time // when it is no longer answered even while it is loaded anew
}

// New returns a cache in front of tier; nil keeps it in this process.
func New(cfg Config, tier Tier, log *slog.Logger) (*Cache, error) {
	c := &Cache{tier: tier, ttl: cfg.WithDefaults().TTL, log: log}
	local, err := otter.New(&otter.Options[string, record]{
		MaximumWeight: maxBytes,
		Weigher: func(key string, r record) uint32 {
			return uint32(min(len(key)+len(r.Data)+entryCost, maxBytes))
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, record]) time.Duration {
			return max(time.Until(e.Value.ends), 1)
		}),
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
// no longer than their ctx. An error of load goes to all who wait for it and is
// not kept, unless it is [Absent]. What load returns is believed, whatever its
// revision.
func (c *Cache) Get(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (Entry, error) {
	if r, ok := c.here(key, atLeast); ok {
		if time.Now().After(r.fresh) {
			c.loads.DoChan(key, c.flight(ctx, key, atLeast, load)) // nobody waits for it
		}
		return r.Entry, r.absent
	}
	for {
		select {
		case done := <-c.loads.DoChan(key, c.flight(ctx, key, atLeast, load)):
			if done.Err != nil {
				return Entry{}, done.Err
			}
			f, _ := done.Val.(flight)
			if f.Revision >= atLeast || f.atLeast >= atLeast {
				return f.Entry, f.absent
			}
			// A load that began for a caller who was content with less.
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
	}
}

// flight is what a load returned, and what it was asked for.
type flight struct {
	record
	atLeast int64
}

// flight returns what loads a key for whoever asks meanwhile.
func (c *Cache) flight(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) func() (any, error) {
	return func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		r, err := c.fetch(ctx, key, atLeast, load)
		return flight{r, atLeast}, err
	}
}

// here returns what this process has of a key.
func (c *Cache) here(key string, atLeast int64) (record, bool) {
	r, ok := c.local.GetIfPresent(key)
	if !ok || r.Revision < atLeast {
		return record{}, false
	}
	c.stats.local.Add(1)
	return r, true
}

// fetch asks the shared tier, then loads.
func (c *Cache) fetch(ctx context.Context, key string, atLeast int64, load func(context.Context) (Entry, error)) (r record, err error) {
	// It runs in a goroutine of its own, where nobody else would stop a panic.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("load %s: panic: %v\n%s", key, p, debug.Stack())
		}
	}()
	// Another load may have ended since the caller looked.
	if r, ok := c.here(key, atLeast); ok && time.Now().Before(r.fresh) {
		return r, nil
	}
	if c.tier == nil {
		return c.load(ctx, key, load)
	}
	if r, ok := c.shared(ctx, key, atLeast); ok {
		return r, nil
	}
	release, granted := c.tier.Lease(ctx, key)
	for waited := time.Duration(0); !granted && waited < leaseWait && ctx.Err() == nil; waited += leaseLook {
		tasks.Pause(ctx, leaseLook)
		if r, ok := c.shared(ctx, key, atLeast); ok {
			return r, nil
		}
	}
	if granted {
		defer release()
	}
	r, err = c.load(ctx, key, load)
	if err == nil && r.absent == nil {
		c.tier.Set(ctx, key, r.Entry, time.Until(r.fresh))
	}
	return r, err
}

// shared takes an entry from the shared tier.
func (c *Cache) shared(ctx context.Context, key string, atLeast int64) (record, bool) {
	e, ttl, ok := c.tier.Get(ctx, key)
	if !ok {
		return record{}, false
	}
	r := c.keep(key, record{Entry: e}, ttl) // even when it is too old: the load may bring an older one
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
		return c.keep(key, record{Entry: Entry{Revision: e.Revision}, absent: gone.error}, min(c.jittered()/10, maxAbsent)), nil
	}
	if err != nil {
		return record{}, err
	}
	return c.keep(key, record{Entry: e}, c.jittered()), nil
}

// keep stores a record here for a time unless a newer one is there.
func (c *Cache) keep(key string, r record, ttl time.Duration) record {
	r.fresh = time.Now().Add(ttl)
	r.ends = r.fresh
	if r.absent == nil {
		r.ends = r.fresh.Add(ttl / 10)
	}
	c.local.Compute(key, func(old record, found bool) (record, otter.ComputeOp) {
		if found && old.Revision > r.Revision {
			return old, otter.CancelOp
		}
		if found && old.Revision == r.Revision && old.absent == nil && r.absent == nil && old.ends.After(r.ends) {
			r.ends = old.ends // a copy that is about to run out shortens no grace
		}
		return r, otter.WriteOp
	})
	return r
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
	c.local.ComputeIfPresent(key, func(old record) (record, otter.ComputeOp) {
		if old.Revision < revision {
			return old, otter.InvalidateOp
		}
		return old, otter.CancelOp
	})
}
