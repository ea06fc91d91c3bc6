package childtest

import "testing"

// Bulk skips a test under the race detector. Such a test makes very many calls, or very many rows
// in SQLite, and the race detector makes this too slow. make race runs these tests without the
// detector.
func Bulk(tb testing.TB) {
	tb.Helper()
	if raceDetector {
		tb.Skip("it runs without the race detector")
	}
}
