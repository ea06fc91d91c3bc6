package redismove

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/cache/rediscache"
	"github.com/moim-live/moim/modules/redisrole"
)

// CachePart is the shared tier of a cache role that may move. The target begins empty and
// is filled while both servers are written. Invalidations go to both servers until the last
// phase.
type CachePart struct {
	log *slog.Logger

	entering sync.Mutex // held by Enter, Start and Stop

	mu      sync.RWMutex
	primary *rediscache.Tier // the tier that is read
	written []*rediscache.Tier
	open    map[*redisrole.Clients]*rediscache.Tier // all of these get invalidations
	drop    func(key string, revision int64)        // nil before Start
	dropAll func()
	past    rediscache.Stats // counters of closed tiers
}

var (
	_ cache.Tier = (*CachePart)(nil)
	_ Part       = (*CachePart)(nil)
)

// NewCachePart returns the tier on the cache role's client. It does no I/O.
func NewCachePart(clients *redisrole.Clients, log *slog.Logger) *CachePart {
	own := rediscache.New(clients, log)
	return &CachePart{
		log:     log,
		primary: own,
		written: []*rediscache.Tier{own},
		open:    map[*redisrole.Clients]*rediscache.Tier{clients: own},
	}
}

// Enter implements [Part].
func (p *CachePart) Enter(ctx context.Context, s Step) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	var servers []*redisrole.Clients
	switch s.Phase {
	case Settled:
		servers = []*redisrole.Clients{s.From}
	case Joined, Both:
		servers = []*redisrole.Clients{s.From, s.To}
	case Leaving:
		servers = []*redisrole.Clients{s.To, s.From}
	case Moved:
		servers = []*redisrole.Clients{s.To}
	default:
		return s.unknown()
	}
	tiers := make([]*rediscache.Tier, len(servers))
	for i, c := range servers {
		tier, err := p.enter(ctx, c)
		if err != nil {
			return err
		}
		tiers[i] = tier
	}
	written := tiers
	if s.Phase == Joined {
		written = tiers[:1]
	}
	p.mu.Lock()
	p.primary, p.written = tiers[0], written
	dropAll := p.dropAll
	p.mu.Unlock()
	if dropAll != nil {
		dropAll() // records of the other server must be checked again
	}
	return p.leave(ctx, tiers)
}

// enter returns the tier on a server.
func (p *CachePart) enter(ctx context.Context, c *redisrole.Clients) (*rediscache.Tier, error) {
	p.mu.RLock()
	tier, drop, dropAll := p.open[c], p.drop, p.dropAll
	p.mu.RUnlock()
	if tier != nil {
		return tier, nil
	}
	tier = rediscache.New(c, p.log)
	if drop != nil {
		if err := tier.Start(ctx, drop, dropAll); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = tier
	return tier, nil
}

// leave stops the tiers that are not in stay.
func (p *CachePart) leave(ctx context.Context, stay []*rediscache.Tier) error {
	p.mu.Lock()
	var left []*rediscache.Tier
	for c, tier := range p.open {
		if !slices.Contains(stay, tier) {
			delete(p.open, c)
			left = append(left, tier)
			p.past = p.past.Plus(tier.Stats())
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, tier := range left {
		errs = append(errs, tier.Stop(ctx))
	}
	return errors.Join(errs...)
}

// Start implements [cache.Tier].
func (p *CachePart) Start(ctx context.Context, drop func(key string, revision int64), dropAll func()) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop, p.dropAll = drop, dropAll
	for _, tier := range p.open {
		if err := tier.Start(ctx, drop, dropAll); err != nil {
			return err
		}
	}
	return nil
}

// Stop implements [cache.Tier].
func (p *CachePart) Stop(ctx context.Context) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	return p.leave(ctx, nil)
}

// Health pings the server that is read.
func (p *CachePart) Health(ctx context.Context) error { return p.reading().Health(ctx) }

// reading returns the tier that is read.
func (p *CachePart) reading() *rediscache.Tier {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.primary
}

// Get implements [cache.Tier].
func (p *CachePart) Get(ctx context.Context, key string) (cache.Entry, time.Duration, bool) {
	return p.reading().Get(ctx, key)
}

// Lease implements [cache.Tier].
func (p *CachePart) Lease(ctx context.Context, key string) (release func(), granted bool) {
	return p.reading().Lease(ctx, key)
}

// Set implements [cache.Tier].
func (p *CachePart) Set(ctx context.Context, key string, e cache.Entry, ttl time.Duration) {
	p.mu.RLock()
	written := p.written
	p.mu.RUnlock()
	for _, tier := range written {
		tier.Set(ctx, key, e, ttl)
	}
}

// Invalidate implements [cache.Tier].
func (p *CachePart) Invalidate(ctx context.Context, key string, revision int64) {
	p.mu.RLock()
	tiers := make([]*rediscache.Tier, 0, len(p.open))
	for _, tier := range p.open {
		tiers = append(tiers, tier)
	}
	p.mu.RUnlock()
	for _, tier := range tiers {
		tier.Invalidate(ctx, key, revision)
	}
}

// Stats returns the counters of all servers.
func (p *CachePart) Stats() rediscache.Stats {
	p.mu.RLock()
	defer p.mu.RUnlock()
	all := p.past
	for _, tier := range p.open {
		all = all.Plus(tier.Stats())
	}
	return all
}
