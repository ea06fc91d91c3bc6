package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/upkeep"
)

func TestWaitsOfAFailingTimerGrow(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, testWaits)
}

func testWaits(t *testing.T, db *database.DB) {
	t.Helper()
	ctx, s, past := t.Context(), sqlstore.New(db), time.Now().Add(-time.Hour)
	id := create(t, s)
	schedule := func(at *time.Time) {
		t.Helper()
		if _, err := s.Change(ctx, id, "", func(tx group.Tx) error { return tx.Schedule(ctx, at) }); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(query string) {
		t.Helper()
		err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, query, id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wait := func(want time.Duration) {
		t.Helper()
		for range 2 { // as if two nodes postponed it at once; only one call counts
			if err := s.Postpone(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		var got int64
		err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, "SELECT retry_at - "+db.Dialect().Now()+" FROM groups WHERE id = $1", id).Scan(&got)
		})
		if err != nil {
			t.Fatal(err)
		}
		left := time.Duration(got) * time.Microsecond // minus the duration of the calls
		if left > want || want >= 8*time.Second && left <= want/2 {
			t.Errorf("%s are left of a wait of %s", left, want)
		}
		exec("UPDATE groups SET retry_at = next_at WHERE id = $1")
	}
	schedule(&past)
	for range 2 {
		for seconds := 1; seconds <= 64; seconds *= 2 {
			wait(time.Duration(seconds) * time.Second)
		}
		wait(upkeep.MaxPostponed)
		wait(upkeep.MaxPostponed)
		schedule(&past) // this resets the waits
	}
}
