package database

import (
	"context"
	"testing"
	"time"
)

// TestEveryCallIsBounded checks that a context with a later deadline does not extend the time
// limit of a call.
func TestEveryCallIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ own, want time.Duration }{
		"no deadline":       {0, defaultTimeout},
		"a later deadline":  {time.Hour, defaultTimeout},
		"an earlier one":    {time.Second, time.Second},
		"one that has gone": {-time.Second, -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start, ctx := time.Now(), t.Context()
			if test.own != 0 {
				own, cancel := context.WithDeadline(ctx, start.Add(test.own))
				defer cancel()
				ctx = own
			}
			bounded, cancel := WithDeadline(ctx)
			defer cancel()
			at, ok := bounded.Deadline()
			if late := at.Sub(start) - test.want; !ok || late < 0 || late > time.Second {
				t.Errorf("ends after %s, want %s", at.Sub(start), test.want)
			}
		})
	}
}
