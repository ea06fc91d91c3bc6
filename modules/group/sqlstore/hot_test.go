package sqlstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestEventsChangeNoIndexOfGroups checks that an event changes no indexed column of the
// group's row, even for a join. PostgreSQL can then write the new row version to the same
// page, as a heap-only tuple.
func TestEventsChangeNoIndexOfGroups(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(ctx context.Context, round int) func(group.Tx) error{
		"posts": func(ctx context.Context, _ int) func(group.Tx) error { return post(ctx) },
		"joins": func(ctx context.Context, round int) func(group.Tx) error {
			return func(tx group.Tx) error {
				if err := tx.AddMember(ctx, group.Member{UserID: fmt.Sprint("user-", round), Role: group.MemberRole}); err != nil {
					return err
				}
				_, err := tx.Append(ctx, group.MemberJoined, "", struct{}{})
				return err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testHeapOnly(t, do)
		})
	}
}

func testHeapOnly(t *testing.T, do func(ctx context.Context, round int) func(group.Tx) error) {
	t.Helper()
	// Use a separate server. Long transactions of other tests would keep old row versions
	// on their pages.
	db := servicetest.OpenDatabase(t, pgtest.Start(t).NewDatabase(t))
	ctx, s := t.Context(), sqlstore.New(db)
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = create(t, s)
	}
	const rounds = 20
	for round := range rounds {
		for _, id := range ids {
			if _, err := s.Change(ctx, id, "", do(ctx, round)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var updated, hot int64
	waittest.Until(t, "the server publishes its statistics", func() bool {
		err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'groups'`).Scan(&updated, &hot)
		})
		if err != nil {
			t.Fatal(err)
		}
		return updated >= int64(rounds*len(ids))
	})
	t.Logf("%d of %d updates were heap-only", hot, updated)
	// A page may be full of versions that other transactions can still read, so not every
	// update is heap-only. If an indexed column changed, none would be.
	if hot*4 < updated {
		t.Errorf("%d of %d updates were heap-only, want at least a quarter", hot, updated)
	}
}
