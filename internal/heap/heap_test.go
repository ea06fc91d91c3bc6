package heap

import (
	"context"
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

// TestFollow changes how its process collects garbage: it must not be parallel.
func TestFollow(t *testing.T) {
	const percent, collections, given = "/gc/gogc:percent", "/gc/cycles/total:gc-cycles", "/memory/classes/heap/released:bytes"
	before := value(percent)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		follow(ctx, testPace)
	}()

	await(t, percent, func(p uint64) bool { return p == 400 }, rest) // little is alive: much more may gather

	// As more and more is alive, no more gathers than that.
	await(t, percent, func(p uint64) bool { return p == 100 }, allocate)

	// Nothing is alive any more, and nothing is allocated: it is given back.
	was := value(given)
	kept = nil
	await(t, given, func(n uint64) bool { return n >= was+(64<<20) }, rest)
	n := value(collections)
	await(t, percent, func(p uint64) bool { return p == 400 }, rest)

	// And only once: there is nothing more to give.
	for range 10 {
		rest()
	}
	if again := value(collections); again > n+1 {
		t.Errorf("%d collections while nothing was allocated", again-n)
	}
	stop()
	<-ended
	if p := value(percent); p != before {
		t.Errorf("it left GOGC at %d, not %d", p, before)
	}
}

// TestFollowLeavesItToTheEnvironment: whoever sets GOGC has decided.
func TestFollowLeavesItToTheEnvironment(t *testing.T) {
	t.Setenv("GOGC", "100")
	Follow(t.Context()) // returns
}
