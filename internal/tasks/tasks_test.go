package tasks_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/tasks"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

func TestStopEndsAndWaits(t *testing.T) {
	t.Parallel()
	g := tasks.New()
	ended := false
	g.Run(func(ctx context.Context) {
		<-ctx.Done()
		ended = true
	})
	if err := errors.Join(g.Stop(t.Context()), g.Stop(t.Context())); err != nil || !ended {
		t.Errorf("stopped with %v, ended %v", err, ended)
	}
	if g.Run(func(context.Context) { t.Error("started after the end") }) {
		t.Error("a stopped group takes more")
	}
}

func TestFinishWaitsForTheOwnEnd(t *testing.T) {
	t.Parallel()
	g := tasks.New()
	work := make(chan struct{})
	g.Run(func(ctx context.Context) {
		select {
		case <-work:
		case <-ctx.Done():
			t.Error("was ended")
		}
	})
	close(work)
	if err := g.Finish(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFinishEndsWhatIsLeft(t *testing.T) {
	t.Parallel()
	g := tasks.New()
	g.Run(func(ctx context.Context) { <-ctx.Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := g.Finish(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("finished with %v", err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFinishWaitsForAllThatWasStarted checks that Finish waits for all goroutines, including
// those that start during Finish.
func TestFinishWaitsForAllThatWasStarted(t *testing.T) {
	t.Parallel()
	g := tasks.New()
	var ran, started atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for g.Run(func(context.Context) { ran.Add(1) }) {
				started.Add(1)
			}
		})
	}
	for started.Load() < 10_000 {
		runtime.Gosched()
	}
	if err := g.Finish(t.Context()); err != nil {
		t.Error(err)
	}
	callers.Wait()
	if ran.Load() != started.Load() {
		t.Errorf("%d of %d functions were run", ran.Load(), started.Load())
	}
}

func TestRetryGoesOnUntilItSucceeds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wake := make(chan struct{}, 1)
	tasks.Wake(wake)
	calls := 0
	tasks.Retry(ctx, time.Millisecond, wake, func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		if calls == 3 {
			tasks.Wake(wake)
			return nil
		}
		cancel()
		return nil
	})
	if calls != 4 {
		t.Errorf("called %d times, want 4: once, twice more while it fails, and when it is woken", calls)
	}
}
