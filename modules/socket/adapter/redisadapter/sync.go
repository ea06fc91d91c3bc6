package redisadapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

// syncEvery is the interval at which Sync checks the connections.
const syncEvery = 5 * time.Millisecond

// ErrBehind says that the server answers, but the adapter has not yet subscribed to all
// wanted rooms.
var ErrBehind = errors.New("redisadapter: not all rooms are subscribed to yet")

// Sync waits until the adapter has subscribed to all rooms that were wanted at the call,
// and the server accepts messages. If the subscriptions only need more time, it returns
// [ErrBehind].
func (a *Adapter) Sync(ctx context.Context) error {
	n := a.syncs.Add(1)
	for _, s := range a.shards {
		tasks.Wake(s.changes.wake)
	}
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for !a.inStep(n) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := a.status.any(); err != nil {
				return err
			}
			return fmt.Errorf("%w on %s: %w", ErrBehind, a.status.where, ctx.Err())
		}
	}
	for _, s := range a.shards {
		if err := s.publisher.ping(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *Adapter) inStep(n uint64) bool {
	for _, s := range a.shards {
		if s.synced.Load() < n {
			return false
		}
	}
	return a.status.any() == nil
}

// Missed reports whether envelopes may have been missed since the last call of lost.
func (a *Adapter) Missed() bool {
	for _, s := range a.shards {
		if s.missed.Load() {
			return true
		}
	}
	return false
}
