package database

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/modules/fault"
)

// TestCommitsAreGathered counts the commits, which are not visible to callers.
func TestCommitsAreGathered(t *testing.T) {
	t.Parallel()
	db, err := Open(Config{}, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	insert := func(n int) error {
		for {
			var began atomic.Bool
			err := db.Write(t.Context(), func(ctx context.Context, q Querier) error {
				began.Store(true)
				_, err := q.ExecContext(ctx, "INSERT INTO outbox VALUES ('g', $1, 0)", n)
				return err
			})
			if began.Load() || !errors.Is(err, fault.ErrUnavailable) { // on a busy machine, it may not start in time
				return err
			}
		}
	}
	if err := insert(-1); err != nil {
		t.Fatal(err)
	}
	w := db.open.(*sqliteDB).writer //nolint:errcheck // a panic also fails the test
	before := w.commits.Load()

	const writes = 200
	held, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = db.Write(t.Context(), func(context.Context, Querier) error {
			close(held)
			<-release
			return nil
		})
	})
	<-held
	for n := range writes {
		all.Go(func() {
			if err := insert(n); err != nil {
				t.Errorf("write %d: %v", n, err)
			}
		})
	}
	for w.callers.Load() < 1+writes { // all writes wait
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	// On a busy machine, the time for gathering can end after a few writes.
	if commits := w.commits.Load() - before; commits > writes/2 {
		t.Errorf("%d concurrent writes took %d commits", writes, commits)
	} else {
		t.Logf("%d concurrent writes took %d commits", writes, commits)
	}
	if err := insert(writes); err != nil {
		t.Fatal(err)
	}
}
