// Package measure compares Moim with a peer in one run. Both work in turns, so that other
// load on the machine affects both equally. It does not know what they do.
package measure

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	// turn is how long one side works before the other one works.
	turn = time.Second
	// warmUp is how long each side works before measuring begins.
	warmUp = 300 * time.Millisecond
)

// Side is one of the two sides of a comparison.
type Side struct {
	Name string
	// Do carries out one operation of one of the workers, which are numbered from 0. Each
	// worker carries out one operation after the other.
	Do func(ctx context.Context, worker int) error
	// Settle, if not nil, waits until all work that Do has caused is finished, so that it
	// does not burden the other side.
	Settle func(ctx context.Context) error
}

// Compare lets workers run Moim and then its peer, as often as b requires. For both it
// reports operations per second, the median and the 99th percentile of an operation's
// duration, and its processor time. It also reports the ratio. Processor time includes that
// of all child processes, such as the database. It varies least on a busy machine.
func Compare(b *testing.B, workers int, moim, peer Side) {
	b.Helper()
	sides := []Side{moim, peer}
	totals := make([]result, len(sides))
	for _, s := range sides {
		s.work(b, workers, warmUp)
	}
	for turns := 0; b.Loop(); turns++ {
		for i := range sides {
			i = (i + turns) % len(sides) // no side is always the first
			totals[i].add(sides[i].work(b, workers, turn))
		}
	}
	b.ReportMetric(0, "ns/op") // it would be the time of a pair of turns
	for i, s := range sides {
		b.ReportMetric(totals[i].rate(), s.Name+"-ops/s")
		b.ReportMetric(microseconds(totals[i].quantile(0.50)), s.Name+"-p50-µs")
		b.ReportMetric(microseconds(totals[i].quantile(0.99)), s.Name+"-p99-µs")
		b.ReportMetric(totals[i].cost(), s.Name+"-cpu-µs")
	}
	b.ReportMetric(totals[0].rate()/totals[1].rate(), "ratio")
}

// work lets the workers work for a while, and to the end of what they are at.
func (s Side) work(b *testing.B, workers int, d time.Duration) result {
	b.Helper()
	took := make([][]time.Duration, workers)
	failed := make([]error, workers)
	var all sync.WaitGroup
	used, start := processorTime(), time.Now()
	for w := range workers {
		all.Go(func() {
			for began := start; began.Sub(start) < d; {
				if failed[w] = s.Do(b.Context(), w); failed[w] != nil {
					return
				}
				ended := time.Now()
				took[w] = append(took[w], ended.Sub(began))
				began = ended
			}
		})
	}
	all.Wait()
	r := result{took: slices.Concat(took...), elapsed: time.Since(start)}
	for _, err := range failed {
		if err != nil {
			b.Fatalf("%s: %v", s.Name, err)
		}
	}
	if s.Settle != nil {
		if err := s.Settle(b.Context()); err != nil {
			b.Fatalf("%s: %v", s.Name, err)
		}
	}
	r.used = processorTime() - used
	return r
}

// result is what one side did.
type result struct {
	took    []time.Duration
	elapsed time.Duration
	used    time.Duration // of the processor
}

func (r *result) add(more result) {
	r.took = append(r.took, more.took...)
	r.elapsed += more.elapsed
	r.used += more.used
}

// rate is operations per second.
func (r *result) rate() float64 { return float64(len(r.took)) / r.elapsed.Seconds() }

// cost is the processor time of an operation in microseconds.
func (r *result) cost() float64 { return microseconds(r.used) / float64(max(1, len(r.took))) }

// quantile is the time within which a part q of the operations was done.
func (r *result) quantile(q float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	slices.Sort(r.took)
	return r.took[int(q*float64(len(r.took)-1))]
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
