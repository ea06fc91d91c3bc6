// Package rediscache implements the shared tier of the cache in the cache role's Redis. See
// [Tier].
package rediscache

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// callTimeout limits a call. After that time, the database is faster.
	callTimeout = 100 * time.Millisecond
	// breakFor is how long the tier makes no calls after one got no answer.
	breakFor = time.Second
	// leaseFor is how long a node has the exclusive right to load a key.
	leaseFor = 2 * time.Second
)

var (
	//go:embed set.lua
	setSource string
	//go:embed lease.lua
	leaseSource string
	//go:embed invalidate.lua
	invalidateSource string
	//go:embed release.lua
	releaseSource string
)

// Stats holds counts since the start.
type Stats struct {
	Errors     int64 // failed calls
	Skipped    int64 // calls that were not made shortly after a failed one
	Garbage    int64 // invalid values and invalid messages
	Reconnects int64 // renewed subscriptions
}

// Plus returns the sum of both.
func (s Stats) Plus(o Stats) Stats {
	return Stats{s.Errors + o.Errors, s.Skipped + o.Skipped, s.Garbage + o.Garbage, s.Reconnects + o.Reconnects}
}

// Tier keeps entries in Redis. While the server is down, each Get is a miss. It
// is safe for concurrent use.
type Tier struct {
	clients *redisrole.Clients
	client  redis.UniversalClient
	keys    keys
	node    string
	log     *slog.Logger
	probe   string        // the channel of this process alone
	timeout time.Duration // of one call
	timing  timing
	status  status

	set, lease, invalidate, release *redis.Script
	breaker                         circuitbreaker.CircuitBreaker[any]
	leases                          atomic.Uint64

	errors, skipped, garbage, reconnects atomic.Int64

	subscriber      redis.UniversalClient
	closeSubscriber func() error
	listener        *tasks.Group
}

var _ cache.Tier = (*Tier)(nil)

// New returns a tier on the cache role's client. It does no I/O.
func New(clients *redisrole.Clients, log *slog.Logger) *Tier {
	names := keys{prefix: clients.Prefix()}
	t := &Tier{
		clients:    clients,
		client:     clients.Client(redisrole.Cache),
		keys:       names,
		node:       string(clients.Node()),
		log:        log,
		probe:      names.probe(string(clients.Node()), rand.Uint64()),
		timing:     production,
		status:     status{log: log, where: clients.Where(redisrole.Cache)},
		set:        redis.NewScript(setSource),
		lease:      redis.NewScript(leaseSource),
		invalidate: redis.NewScript(invalidateSource),
		release:    redis.NewScript(releaseSource),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureThreshold(1).WithSuccessThreshold(1).WithDelay(breakFor).Build(),
		closeSubscriber: func() error { return nil },
		listener:        tasks.New(),
	}
	return t.WithCallTimeout(callTimeout)
}

// WithCallTimeout sets the timeout of calls (default 100 ms) and returns the tier. It is
// for tests on slow machines. Call it before other methods.
func (t *Tier) WithCallTimeout(timeout time.Duration) *Tier {
	t.timeout = timeout
	if c, ok := t.client.(*redis.Client); ok {
		// A given client may ignore context deadlines.
		t.client = c.WithTimeout(timeout)
	}
	return t
}

// Stats returns the counters.
func (t *Tier) Stats() Stats {
	return Stats{Errors: t.errors.Load(), Skipped: t.skipped.Load(), Garbage: t.garbage.Load(), Reconnects: t.reconnects.Load()}
}

// Health returns nil if the server answers and invalidations arrive.
func (t *Tier) Health(ctx context.Context) error {
	if err := t.status.failure(subscription); err != nil {
		return err
	}
	return t.clients.Health(ctx, redisrole.Cache)
}

// call calls fn unless the circuit breaker is open. It opens the breaker if fn
// gets no answer. It reports whether fn succeeded.
func (t *Tier) call(ctx context.Context, fn func(context.Context) error) bool {
	if ctx.Err() != nil {
		return false
	}
	if !t.breaker.TryAcquirePermit() {
		t.skipped.Add(1)
		return false
	}
	// A caller that cancels must not count as a failure for the breaker.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout)
	defer cancel()
	err := fn(ctx)
	var answer redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		t.breaker.RecordSuccess()
		t.status.set(commands, nil)
		return err == nil
	case errors.As(err, &answer): // the server is up but refuses the call, for example because it is full
		t.breaker.RecordSuccess()
		t.status.set(commands, nil)
	default:
		t.breaker.RecordFailure()
		t.status.set(commands, err)
	}
	t.errors.Add(1)
	t.log.DebugContext(ctx, "rediscache: a call failed; the record is read from the database", "err", err)
	return false
}

// Get implements [cache.Tier].
func (t *Tier) Get(ctx context.Context, key string) (cache.Entry, time.Duration, bool) {
	var value *redis.StringCmd
	var ttl *redis.DurationCmd
	garbage := false
	ok := t.call(ctx, func(ctx context.Context) error {
		pipe := t.client.Pipeline()
		value, ttl = pipe.Get(ctx, t.keys.entry(key)), pipe.PTTL(ctx, t.keys.entry(key))
		_, err := pipe.Exec(ctx)
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			garbage, err = true, nil
		}
		return err
	})
	if !ok {
		return cache.Entry{}, 0, false
	}
	if !garbage {
		e, err := decode(value.Val())
		if err == nil && ttl.Val() > 0 {
			return e, ttl.Val(), true
		}
	}
	t.garbage.Add(1)
	t.call(ctx, func(ctx context.Context) error { return t.client.Del(ctx, t.keys.entry(key)).Err() })
	return cache.Entry{}, 0, false
}

// Lease implements [cache.Tier].
func (t *Tier) Lease(ctx context.Context, key string) (release func(), granted bool) {
	token := t.node + " " + strconv.FormatUint(t.leases.Add(1), 10)
	answer := 1
	t.call(ctx, func(ctx context.Context) (err error) {
		answer, err = t.lease.Run(ctx, t.client, []string{t.keys.lease(key)}, token, leaseFor.Milliseconds()).Int()
		return err
	})
	switch answer {
	case 0:
		return nil, false
	case 2:
		t.garbage.Add(1)
	}
	ctx = context.WithoutCancel(ctx)
	return func() {
		t.call(ctx, func(ctx context.Context) error {
			return t.release.Run(ctx, t.client, []string{t.keys.lease(key)}, token).Err()
		})
	}, true
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
