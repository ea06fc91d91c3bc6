package tasks

import (
	"context"
	"time"
)

// Pause returns true after d, or false at once when ctx ends before that.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
