package tasks

import (
	"context"
	"time"
)

// Every runs fn each interval, and whenever poke is written to, until ctx ends.
func Every(ctx context.Context, interval time.Duration, poke <-chan struct{}, fn func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fn()
		case <-poke:
			fn()
		case <-ctx.Done():
			return
		}
	}
}
