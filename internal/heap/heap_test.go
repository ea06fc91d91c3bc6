package heap

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

var testPace = pace{slack: 64 << 20, window: 10 * time.Millisecond, calm: 1 << 20, worth: 4 << 20}

// await waits until the runtime's metric is as it should be, doing something
// meanwhile.
func await(t *testing.T, metric string, is func(uint64) bool, do func()) {
	t.Helper()
	sample := []metrics.Sample{{Name: metric}}
	deadline := time.Now().Add(30 * time.Second)
	for metrics.Read(sample); !is(sample[0].Value.Uint64()); metrics.Read(sample) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is %d", metric, sample[0].Value.Uint64())
		}
		do()
	}
}

func value(metric string) uint64 {
	sample := []metrics.Sample{{Name: metric}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func rest() { time.Sleep(5 * time.Millisecond) }

var kept [][]byte // reachable, so that it is on the heap and alive

func allocate() { kept = append(kept, make([]byte, 1<<20)) }

var garbage []byte

// idle allocates little.
func idle() {
	garbage = make([]byte, 64<<10)
	rest()
}

// TestFollow changes how its process collects garbage: it must not be parallel.
func TestFollow(t *testing.T) {
	const goal, alive, collections, given = "/gc/heap/goal:bytes", "/gc/heap/live:bytes", "/gc/cycles/total:gc-cycles", "/memory/classes/heap/released:bytes"
	slack := testPace.slack
	const limit = 1 << 40
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		follow(ctx, testPace)
	}()

	// Little is alive: much may gather.
	await(t, goal, func(n uint64) bool { return n >= 2*slack }, rest)
	await(t, "/gc/gomemlimit:bytes", func(n uint64) bool { return n == limit+slack }, rest)

	// Nothing is alive any more, and little is allocated: it is given back.
	await(t, alive, func(n uint64) bool { return n >= 2*slack }, allocate)
	was := value(given)
	kept = nil
	await(t, given, func(n uint64) bool { return n >= was+slack }, idle)

	// And only once: there is nothing more to give.
	n := value(collections)
	for range 10 {
		rest()
	}
	if again := value(collections); again > n+1 {
		t.Errorf("%d collections while nothing was allocated", again-n)
	}
	stop()
	<-ended
	if n := debug.SetMemoryLimit(-1); n != limit {
		t.Errorf("it left the limit at %d", n)
	}
	await(t, goal, func(n uint64) bool { return n < slack }, runtime.GC)
}

// TestFollowLeavesItToTheEnvironment: whoever sets GOGC has decided.
func TestFollowLeavesItToTheEnvironment(t *testing.T) {
	t.Setenv("GOGC", "100")
	Follow(t.Context()) // returns
}
