// Package waittest waits in tests for what must happen. It knows nothing of what that is.
package waittest

import (
	"testing"
	"time"
)

// Patience is how long a test waits. It is long, because a busy machine fails no test.
const Patience = time.Minute

// Receive takes a value from a channel, which may be closed instead. It fails the test at
// once when that takes too long.
func Receive[T any](tb testing.TB, what string, from <-chan T) T {
	tb.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Patience):
		tb.Fatalf("it did not happen in %s: %s", Patience, what)
		panic("unreachable")
	}
}

// Until waits until ok holds, which it asks every 2 ms. It fails the test at once when that
// takes too long.
func Until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("it did not happen in %s: %s", Patience, what)
		}
	}
}
