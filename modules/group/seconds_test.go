package group

import (
	"testing"
	"time"
)

func TestSecondsLeft(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]int{
		-time.Second: 0, 0: 0, time.Millisecond: 1, 499 * time.Millisecond: 1, 1600 * time.Millisecond: 2, 59900 * time.Millisecond: 60,
	} {
		if got := secondsLeft(left); got != want {
			t.Errorf("%s are %d seconds, want %d", left, got, want)
		}
	}
}
