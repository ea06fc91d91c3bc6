package childtest

import "testing"

// Bulk skips a test under the race detector. Such a test makes very many calls, or rows in
// SQLite, which takes much longer there. make race runs it without the detector.
func Bulk(tb testing.TB) {
	tb.Helper()
	if raceDetector {
		tb.Skip("it runs without the race detector")
	}
}
