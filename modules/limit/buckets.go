package limit

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// buckets are token buckets with the same rate, one for each key. A bucket that was not
// used for the time that it takes to fill is dropped, because a new one is the same.
type buckets struct {
	mu      sync.Mutex
	rate    Rate
	off     atomic.Bool              // there is no limit; read without the mutex
	fresh   map[string]*rate.Limiter // used since turned
	stale   map[string]*rate.Limiter // used in the generation before
	owing   map[string]*rate.Limiter // buckets whose debt may last longer than a generation
	turned  time.Time
	lasting time.Duration // length of a generation
}

func newBuckets(r Rate) *buckets {
	b := &buckets{fresh: map[string]*rate.Limiter{}, owing: map[string]*rate.Limiter{}}
	b.set(r, time.Time{})
	return b
}

// set changes the rate. A bucket keeps its tokens and its debt, up to the new burst.
func (b *buckets) set(r Rate, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == r {
		return
	}
	b.rate = r
	b.off.Store(r.off())
	if r.off() {
		b.fresh, b.stale, b.owing = map[string]*rate.Limiter{}, nil, map[string]*rate.Limiter{}
		return
	}
	// Twice, because the debt may be as large as the burst; owing has buckets with more
	// debt.
	b.lasting = 2 * time.Duration(float64(r.Per)*float64(r.Burst)/float64(r.Count))
	for _, limiters := range []map[string]*rate.Limiter{b.fresh, b.stale, b.owing} {
		for _, l := range limiters {
			adjust(l, r, now)
		}
	}
}

func adjust(l *rate.Limiter, r Rate, now time.Time) {
	l.SetLimitAt(now, perSecond(r))
	l.SetBurstAt(now, int(r.Burst))
}

func perSecond(r Rate) rate.Limit { return rate.Limit(float64(r.Count) / r.Per.Seconds()) }

// take takes n tokens for key. If the bucket is empty, it takes none and returns how long
// to wait for a token. A bucket may go into debt, so n may be larger than the number of
// tokens.
func (b *buckets) take(key string, n int64, now time.Time) (wait time.Duration) {
	if b.off.Load() {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate.off() {
		return 0
	}
	limiter := b.bucketLocked(key, now)
	wait = takeFrom(limiter, b.rate, n, now)
	if limiter.TokensAt(now) < -float64(b.rate.Burst) {
		b.owing[key] = limiter
	}
	return wait
}

// lacks returns how long to wait until key has a token, or 0 if it has one.
func (b *buckets) lacks(key string, now time.Time) time.Duration { return b.take(key, 0, now) }

func (b *buckets) bucketLocked(key string, now time.Time) *rate.Limiter {
	if now.Sub(b.turned) > b.lasting {
		if now.Sub(b.turned) > 2*b.lasting {
			b.fresh = nil
		}
		b.fresh, b.stale, b.turned = map[string]*rate.Limiter{}, b.fresh, now
		maps.DeleteFunc(b.owing, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= float64(b.rate.Burst) })
	}
	limiter := b.fresh[key]
	if limiter != nil {
		return limiter
	}
	if limiter = b.stale[key]; limiter == nil {
		limiter = b.owing[key]
	}
	if limiter == nil {
		limiter = newLimiter(b.rate)
	}
	b.fresh[key] = limiter
	return limiter
}

func newLimiter(r Rate) *rate.Limiter {
	return rate.NewLimiter(perSecond(r), int(r.Burst))
}

// takeFrom is [buckets.take] for one bucket. Calls must not run concurrently.
func takeFrom(limiter *rate.Limiter, r Rate, n int64, now time.Time) (wait time.Duration) {
	if tokens := limiter.TokensAt(now); tokens < 1 {
		return time.Duration((1 - tokens) * float64(r.Per) / float64(r.Count))
	}
	for ; n > 0; n -= r.Burst { // a limiter accepts at most its burst at a time
		limiter.ReserveN(now, int(min(n, r.Burst)))
	}
	return 0
}
