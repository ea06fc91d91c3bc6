package processors

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"
)

var testPace = pace{window: 10 * time.Millisecond, calm: 100 * time.Millisecond}

// await waits until GOMAXPROCS is n, doing something meanwhile.
func await(t *testing.T, n int, do func()) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for runtime.GOMAXPROCS(0) != n {
		if time.Now().After(deadline) {
			t.Fatalf("GOMAXPROCS is %d, want %d", runtime.GOMAXPROCS(0), n)
		}
		do()
	}
}

func rest() { time.Sleep(5 * time.Millisecond) }

func compute() {
	for until := time.Now().Add(5 * time.Millisecond); time.Now().Before(until); {
	}
}

// TestFollow changes GOMAXPROCS of the test's process: it must not be parallel.
func TestFollow(t *testing.T) {
	if os.Getenv("GOMAXPROCS") != "" {
		t.Skip("the environment has decided")
	}
	all := runtime.GOMAXPROCS(0)
	if _, _, known := usage(); all == 1 || !known {
		t.Skip("there is nothing to follow")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		follow(ctx, testPace)
	}()
	for _, do := range []func(){rest, compute, rest} {
		n := 1
		if runtime.GOMAXPROCS(0) == 1 {
			n = all
		}
		await(t, n, do)
		if All() != all {
			t.Errorf("GOMAXPROCS is %d: there are %d to use, not %d", n, All(), all)
		}
	}
	stop()
	<-ended
	if n := runtime.GOMAXPROCS(0); n != all {
		t.Errorf("it left GOMAXPROCS at %d, not %d", n, all)
	}
}

// TestFollowLeavesItToTheEnvironment: whoever sets GOMAXPROCS has decided.
func TestFollowLeavesItToTheEnvironment(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	Follow(t.Context()) // returns
}
