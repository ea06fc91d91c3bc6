package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// defaultDelay is the default of Rates.MaxDelay.
	defaultDelay = 200 * time.Millisecond
	// holdFor is how long a reordered envelope waits for the next one.
	holdFor = 50 * time.Millisecond
	// lateTimeout bounds the publishing of a late envelope.
	lateTimeout = 5 * time.Second
)

// Rates are the probabilities of faults: 0.05 affects one envelope in twenty. An envelope
// has at most one fault.
type Rates struct {
	Drop, Double, Delay, Reorder float64
	MaxDelay                     time.Duration // default 200 ms
}

// Counts counts the envelopes of a [Faulty] adapter by fault.
type Counts struct {
	Published, Dropped, Doubled, Delayed, Reordered int
}

// String returns all counts in one line.
func (c Counts) String() string {
	return fmt.Sprintf("%d envelopes, %d dropped, %d doubled, %d delayed, %d reordered",
		c.Published, c.Dropped, c.Doubled, c.Delayed, c.Reordered)
}

// Plus returns the sum of two counts.
func (c Counts) Plus(d Counts) Counts {
	return Counts{
		c.Published + d.Published, c.Dropped + d.Dropped, c.Doubled + d.Doubled,
		c.Delayed + d.Delayed, c.Reordered + d.Reordered,
	}
}

// Faulty is an adapter that loses, doubles, delays and reorders envelopes without an error.
// A feed must tolerate this. Faulty does not pass [Run]. It is safe for concurrent use.
type Faulty struct {
	adapter.Adapter
	rates Rates
	tasks *tasks.Group

	mu     sync.Mutex
	random *rand.Rand
	counts Counts
	held   *held // the reordered envelope that waits now, or nil
}

// held is a reordered envelope. overtaken is closed when a later one has been published.
type held struct{ overtaken chan struct{} }

var _ adapter.Adapter = (*Faulty)(nil)

// NewFaulty returns a faulty adapter that uses inner. With the same seed, the same sequence
// of Publish calls has the same faults.
func NewFaulty(inner adapter.Adapter, seed uint64, rates Rates) *Faulty {
	if rates.MaxDelay <= 0 {
		rates.MaxDelay = defaultDelay
	}
	return &Faulty{Adapter: inner, rates: rates, tasks: tasks.New(), random: rand.New(rand.NewPCG(seed, seed))}
}

// Counts returns the counts so far.
func (f *Faulty) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// Cast implements [adapter.Adapter].
func (f *Faulty) Cast(ctx context.Context, env adapter.Envelope) bool {
	_ = f.Publish(ctx, env)
	return true
}

// Publish implements [adapter.Adapter].
func (f *Faulty) Publish(ctx context.Context, env adapter.Envelope) error {
	f.mu.Lock()
	f.counts.Published++
	r := f.rates
	copies, late := 1, time.Duration(0)
	var waits *held
	switch n := f.random.Float64(); {
	case n < r.Drop:
		copies = 0
		f.counts.Dropped++
	case n < r.Drop+r.Double:
		copies = 2
		f.counts.Doubled++
	case n < r.Drop+r.Double+r.Delay:
		late = time.Duration(1 + f.random.Int64N(int64(r.MaxDelay)))
		f.counts.Delayed++
	case n < r.Drop+r.Double+r.Delay+r.Reorder && f.held == nil:
		waits = &held{overtaken: make(chan struct{})}
		f.held = waits
		f.counts.Reordered++
	}
	var overtaken *held
	if waits == nil && late == 0 && copies > 0 {
		overtaken, f.held = f.held, nil
	}
	f.mu.Unlock()

	switch {
	case late > 0:
		f.later(env, late, nil)
		return nil
	case waits != nil:
		f.later(env, holdFor, waits)
		return nil
	}
	var failed error
	for range copies {
		failed = errors.Join(failed, f.Adapter.Publish(ctx, env))
	}
	if overtaken != nil {
		close(overtaken.overtaken)
	}
	return failed
}

// later publishes env after a delay, or once h was overtaken.
func (f *Faulty) later(env adapter.Envelope, after time.Duration, h *held) {
	f.tasks.Run(func(ctx context.Context) {
		var overtaken chan struct{} // nil: never
		if h != nil {
			overtaken = h.overtaken
		}
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
			f.release(h)
		case <-overtaken:
		case <-ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(ctx, lateTimeout)
		defer cancel()
		_ = f.Adapter.Publish(ctx, env) // after an error it is lost
	})
}

// release lets another envelope be held.
func (f *Faulty) release(h *held) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == h {
		f.held = nil
	}
}

// Stop implements [adapter.Adapter]. Late envelopes are lost.
func (f *Faulty) Stop(ctx context.Context) error {
	return errors.Join(f.tasks.Stop(ctx), f.Adapter.Stop(ctx))
}
