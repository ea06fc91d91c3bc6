// Package waittest waits in tests until a condition is true.
package waittest

import (
	"testing"
	"time"
)

// Patience is how long a test waits. It is long, because a busy machine must not fail a
// test.
const Patience = time.Minute

// Receive returns the next value from a channel, or the zero value if it is closed. After
// [Patience], it fails the test.
func Receive[T any](tb testing.TB, what string, from <-chan T) T {
	tb.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Patience):
		tb.Fatalf("not within %s: %s", Patience, what)
		panic("unreachable")
	}
}

// Until waits until ok returns true. It calls ok every 2 ms. After [Patience], it fails the
// test.
func Until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not within %s: %s", Patience, what)
		}
	}
}
