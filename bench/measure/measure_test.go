package measure

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var r result
	if r.quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 101 {
		r.add(result{took: []time.Duration{time.Duration(100-i) * time.Millisecond}, elapsed: 10 * time.Millisecond})
	}
	if p50, p99 := r.quantile(0.5), r.quantile(0.99); p50 != 50*time.Millisecond || p99 != 99*time.Millisecond {
		t.Errorf("p50 %s, p99 %s", p50, p99)
	}
	if got := r.rate(); got < 99.9 || got > 100.1 {
		t.Errorf("%f a second, want 101 in 1.01 s", got)
	}
}

// TestCompare compares two sides that do the same work. Neither may be faster, and all operations
// must be counted.
func TestCompare(t *testing.T) {
	t.Parallel()
	var done [2]atomic.Int64
	side := func(i int) Side {
		return Side{Name: []string{"moim", "bare"}[i], Do: func(context.Context, int) error {
			done[i].Add(1)
			timer := time.NewTimer(time.Millisecond)
			defer timer.Stop()
			<-timer.C
			return nil
		}}
	}
	got := testing.Benchmark(func(b *testing.B) { Compare(b, 4, side(0), side(1)) })
	for try := 1; try < 3 && (got.Extra["ratio"] < 0.5 || got.Extra["ratio"] > 2 || got.Extra["moim-p50-µs"] > 100_000); try++ {
		got = testing.Benchmark(func(b *testing.B) { Compare(b, 4, side(0), side(1)) }) // a busy machine may delay one side
	}
	if ratio := got.Extra["ratio"]; ratio < 0.5 || ratio > 2 {
		t.Errorf("ratio %f of %d and %d", ratio, done[0].Load(), done[1].Load())
	}
	if cost, ok := got.Extra["bare-cpu-µs"]; !ok || cost < 0 {
		t.Errorf("an operation took %f µs of the processor", cost)
	}
	if p50 := got.Extra["moim-p50-µs"]; p50 < 900 || p50 > 100_000 {
		t.Errorf("an operation of a millisecond took %f µs", p50)
	}
}
