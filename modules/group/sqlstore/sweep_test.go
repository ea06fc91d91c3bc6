package sqlstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

func exec(t *testing.T, db *database.DB, query string, a ...any) {
	t.Helper()
	err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, query, a...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// deleted returns a group that was deleted two days ago, with more events.
func deleted(t *testing.T, db *database.DB, s *sqlstore.Store, events int) (id string) {
	t.Helper()
	id = create(t, s)
	for version := 2; version <= events+1; version += 250 {
		exec(t, db, `WITH RECURSIVE n(i) AS (SELECT $2 UNION ALL SELECT i + 1 FROM n WHERE i < $3)
			INSERT INTO events (group_id, version, type, data, at) SELECT $1, i, 'message.posted', '{}', 0 FROM n`,
			id, version, min(version+249, events+1))
	}
	exec(t, db, `UPDATE groups SET version = $2, deleted_at = `+db.Dialect().Now()+` - $3 WHERE id = $1`, id, events+1, (48 * time.Hour).Microseconds())
	return id
}

// One group that cannot be removed keeps no other from being removed or
// trimmed, whichever page it is on.
func TestSweepGoesOnBehindAGroupThatFails(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 10} {
		db := start(t, "")
		ctx, s := t.Context(), sqlstore.New(db)
		stuck, after, long := deleted(t, db, s, 3), deleted(t, db, s, 3), create(t, s)
		for range 9 {
			if _, err := s.Change(ctx, long, post(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		exec(t, db, `CREATE TRIGGER stuck BEFORE DELETE ON events WHEN OLD.group_id = '`+stuck+`' BEGIN SELECT RAISE(ABORT, 'stuck'); END`)
		var failed []error
		for next, rounds := "", 0; rounds == 0 || next != ""; rounds++ {
			var err error
			if next, err = s.Trim(ctx, group.Retention{Count: 5}, next, limit); err != nil {
				failed = append(failed, err)
			}
			if rounds > 5 {
				t.Fatal("the sweep does not end")
			}
		}
		if len(failed) != 1 || !strings.Contains(failed[0].Error(), stuck) {
			t.Errorf("the sweep failed with %v, want an error for group %s", failed, stuck)
		}
		if _, err := s.Read(ctx, after, 0, 1, nil); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("the deleted group behind the one that fails is still there: %v", err)
		}
		if page, err := s.Read(ctx, long, 0, 20, nil); err != nil || page.First != 6 {
			t.Errorf("the log behind the group that fails begins at %d, %v; want 6", page.First, err)
		}
	}
}

// A large group is removed in steps, each in a transaction of its own: writers
// wait little, and what was done stays done.
func TestLargeGroupIsRemovedInSteps(t *testing.T) {
	t.Parallel()
	db := start(t, "")
	ctx, s := t.Context(), sqlstore.New(db)
	id := deleted(t, db, s, 1200)
	exec(t, db, `CREATE TRIGGER stuck BEFORE DELETE ON events WHEN OLD.version = 1100 BEGIN SELECT RAISE(ABORT, 'stuck'); END`)
	if _, err := s.Trim(ctx, group.Retention{Count: 5}, "", 10); err == nil {
		t.Fatal("the group was removed")
	}
	page, err := s.Read(ctx, id, 0, 10, nil)
	if err != nil || page.First < 500 {
		t.Errorf("the log begins at %d, %v; want more than 500 events to be gone", page.First, err)
	}
	exec(t, db, `DROP TRIGGER stuck`)
	if _, err := s.Trim(ctx, group.Retention{Count: 5}, "", 10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, id, 0, 10, nil); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("the group is still there: %v", err)
	}
	for _, table := range []string{"events", "outbox", "members", "groups"} {
		var n int
		err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
		})
		if err != nil || n != 0 {
			t.Errorf("%d rows of %s are left, %v", n, table, err)
		}
	}
}
