package tasks

import (
	"context"
	"time"
)

// Within returns fn with a deadline of its own, d after it is called: what comes
// after it gets the rest of the caller's time.
func Within(d time.Duration, fn func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return fn(ctx)
	}
}
