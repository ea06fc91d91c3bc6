package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// An event changes no index of the group's row: PostgreSQL then writes the new
// version of the row to the same page (a "heap-only tuple").
func TestEventsChangeNoIndexOfGroups(t *testing.T) {
	t.Parallel()
	// On a server of its own: while other tests have long transactions, old rows
	// stay on their pages.
	db := servicetest.OpenDatabase(t, pgtest.Start(t).NewDatabase(t))
	ctx, s := t.Context(), sqlstore.New(db)
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = create(t, s)
	}
	const rounds = 20
	for range rounds {
		for _, id := range ids {
			if _, err := s.Change(ctx, id, "", post(ctx)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var updated, hot int64
	deadline := time.Now().Add(30 * time.Second) // the server publishes its statistics late
	for updated < int64(rounds*len(ids)) && time.Now().Before(deadline) {
		err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'groups'`).Scan(&updated, &hot)
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%d of %d updates were heap-only", hot, updated)
	// A page that is full of versions that others may still read takes no more. If an index
	// changed, no update would be heap-only.
	if updated < int64(rounds*len(ids)) || hot*4 < updated {
		t.Errorf("%d of %d updates were heap-only, want at least a quarter", hot, updated)
	}
}
