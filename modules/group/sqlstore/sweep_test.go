package sqlstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/upkeep"
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

// deleted returns a group that was deleted two days ago and has further events.
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

// TestSweepGoesOnBehindAGroupThatFails checks that a group that cannot be removed does not
// stop the sweep of other groups, on the same page or a later one.
func TestSweepGoesOnBehindAGroupThatFails(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 10} {
		db := servicetest.OpenDatabase(t, "")
		ctx, s := t.Context(), sqlstore.New(db)
		stuck, after, long := deleted(t, db, s, 3), deleted(t, db, s, 3), create(t, s)
		for range 9 {
			if _, err := s.Change(ctx, long, "", post(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		exec(t, db, `CREATE TRIGGER stuck BEFORE DELETE ON events WHEN OLD.group_id = '`+stuck+`' BEGIN SELECT RAISE(ABORT, 'stuck'); END`)
		var failed []error
		for more, rounds := true, 0; more; rounds++ {
			var err error
			if more, err = s.Trim(ctx, upkeep.Retention{Count: 5}, limit); err != nil {
				failed = append(failed, err)
			}
			if rounds > 10 {
				t.Fatal("the sweep does not end")
			}
		}
		if len(failed) != 1 || !strings.Contains(failed[0].Error(), stuck) {
			t.Errorf("the sweep failed with %v, want an error for group %s", failed, stuck)
		}
		if _, err := s.Read(ctx, after, 0, 1, nil); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("the deleted group behind the failing one is not removed: %v", err)
		}
		if page, err := s.Read(ctx, long, 0, 20, nil); err != nil || page.First != 6 {
			t.Errorf("the log behind the group that fails begins at %d, %v; want 6", page.First, err)
		}
	}
}

// TestLargeGroupIsRemovedInSteps checks that a large group is removed in several
// transactions. Writers then wait only a short time, and a failure does not undo earlier
// steps.
func TestLargeGroupIsRemovedInSteps(t *testing.T) {
	t.Parallel()
	db := servicetest.OpenDatabase(t, "")
	ctx, s := t.Context(), sqlstore.New(db)
	id := deleted(t, db, s, 1200)
	exec(t, db, `CREATE TRIGGER stuck BEFORE DELETE ON events WHEN OLD.version = 1100 BEGIN SELECT RAISE(ABORT, 'stuck'); END`)
	trim := func() (err error) {
		for more := true; more && err == nil; {
			more, err = s.Trim(ctx, upkeep.Retention{Count: 5}, 10)
		}
		return err
	}
	if trim() == nil {
		t.Fatal("the group was removed")
	}
	page, err := s.Read(ctx, id, 0, 10, nil)
	if err != nil || page.First < 500 {
		t.Errorf("the log begins at %d, %v; want more than 500 events to be gone", page.First, err)
	}
	exec(t, db, `DROP TRIGGER stuck`)
	if more, err := s.Trim(ctx, upkeep.Retention{Count: 5}, 10); more || err != nil {
		t.Errorf("a failing group is retried at once: %v, %v", more, err)
	}
	exec(t, db, `UPDATE heads SET due_at = 0`)
	if err := trim(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, id, 0, 10, nil); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("the group is not removed: %v", err)
	}
	for _, table := range []string{"events", "outbox", "members", "heads", "groups"} {
		var n int
		err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
		})
		if err != nil || n != 0 {
			t.Errorf("%d rows of %s are left, %v", n, table, err)
		}
	}
}

// TestOneNodeSweeps checks that only one node sweeps, and that another one continues when
// the lease has expired.
func TestOneNodeSweeps(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, s, other := t.Context(), sqlstore.New(db), sqlstore.New(db)
		id, keep := create(t, s), upkeep.Retention{Count: 1}
		if _, err := s.Trim(ctx, keep, 10); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if _, err := s.Change(ctx, id, "", post(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		first := func() int64 {
			t.Helper()
			page, err := s.Read(ctx, id, 0, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			return page.First
		}
		if more, err := other.Trim(ctx, keep, 10); more || err != nil || first() != 1 {
			t.Errorf("a second node sweeps: %v, %v, the log begins at %d", more, err, first())
		}
		exec(t, db, `UPDATE sweeps SET until = 0`)
		if _, err := other.Trim(ctx, keep, 10); err != nil || first() != 5 {
			t.Errorf("no node sweeps after the lease expired: %v, the log begins at %d", err, first())
		}
	})
}

// TestSweepLooksOnlyAtWhatIsDue checks when groups are due again. Sweeps must not visit
// groups again that were deleted recently or whose events are still kept.
func TestSweepLooksOnlyAtWhatIsDue(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, s := t.Context(), sqlstore.New(db)
		long, gone := create(t, s), create(t, s)
		create(t, s)
		for range 4 {
			if _, err := s.Change(ctx, long, "", post(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.Change(ctx, gone, "", func(tx group.Tx) error {
			_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
			return errors.Join(tx.Delete(ctx), err)
		})
		if err != nil {
			t.Fatal(err)
		}
		dueIn := func(id string) (due time.Duration) {
			t.Helper()
			var at *int64
			err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
				return q.QueryRowContext(ctx, "SELECT due_at - "+db.Dialect().Now()+" FROM heads WHERE group_id = $1", id).Scan(&at)
			})
			if err != nil {
				t.Fatal(err)
			}
			if at == nil {
				return -1
			}
			return time.Duration(*at) * time.Microsecond
		}
		near := func(what string, got, want time.Duration) {
			t.Helper()
			if got > want+time.Second || got < want-time.Hour/2 {
				t.Errorf("%s is due in %s, want %s", what, got, want)
			}
		}
		for _, age := range []time.Duration{72 * time.Hour, 48 * time.Hour} { // the second age is a changed retention
			for more, rounds := true, 0; more; rounds++ {
				var err error
				if more, err = s.Trim(ctx, upkeep.Retention{Count: 3, Age: age, Deleted: age}, 2); err != nil || rounds > 20 {
					t.Fatalf("round %d: %v", rounds, err)
				}
			}
			near("the log", dueIn(long), age)
			near("the deleted group", dueIn(gone), age)
		}
		var due int
		err = db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, "SELECT COUNT(due_at) FROM heads").Scan(&due)
		})
		if err != nil || due != 2 {
			t.Errorf("%d groups have a time at which they are due, %v; want 2", due, err)
		}
	})
}

// TestRelayPassesOverRemovedEvents checks rows of the outbox whose events were removed from
// the log. The relay must delete these rows, and relay the others.
func TestRelayPassesOverRemovedEvents(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, s := t.Context(), sqlstore.New(db)
		id := create(t, s)
		for range 5 {
			if _, err := s.Change(ctx, id, "", post(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		exec(t, db, `DELETE FROM events WHERE version <= 4`)
		var relayed []int64
		for range 3 { // two rows at a time
			n, err := s.Relay(ctx, -time.Hour, 2, func(e group.Event) error {
				relayed = append(relayed, e.Version)
				return nil
			})
			if n != 2 || err != nil {
				t.Fatalf("a relay tried %d, %v", n, err)
			}
		}
		if !slices.Equal(relayed, []int64{5, 6}) {
			t.Errorf("relayed %v, want 5 and 6", relayed)
		}
		if n, err := s.Relay(ctx, -time.Hour, 2, func(group.Event) error { return nil }); n != 0 || err != nil {
			t.Errorf("%d rows are left, %v", n, err)
		}
	})
}
