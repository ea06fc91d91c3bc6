package sqlstore_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// tallies returns the stored counts of all users, except zeros.
func tallies(t *testing.T, db *database.DB) map[string]group.Tally {
	t.Helper()
	return tallied(t, db, `SELECT user_id, joined, owned FROM user_locks WHERE joined <> 0 OR owned <> 0`)
}

// recount counts the memberships of all users.
func recount(t *testing.T, db *database.DB) map[string]group.Tally {
	t.Helper()
	return tallied(t, db, `SELECT m.user_id, COUNT(*), COUNT(CASE WHEN m.role = 'owner' THEN 1 END)
		FROM members m JOIN groups g ON g.id = m.group_id WHERE g.deleted_at IS NULL GROUP BY m.user_id`)
}

func tallied(t *testing.T, db *database.DB, query string) map[string]group.Tally {
	t.Helper()
	found := make(map[string]group.Tally)
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		rows, err := q.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var (
				userID string
				n      group.Tally
			)
			if err := rows.Scan(&userID, &n.Joined, &n.Owned); err != nil {
				return err
			}
			found[userID] = n
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLargeDeletedGroupStopsCounting checks that a deleted group stops counting for its
// owner and some members at once. Sweeps uncount the other members.
func TestLargeDeletedGroupStopsCounting(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, s := t.Context(), sqlstore.New(db)
		id := create(t, s)
		create(t, s) // this group is kept
		exec(t, db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
			INSERT INTO members (group_id, user_id, name, role, attributes, joined_at)
			SELECT $1, 'a-' || i, '', 'member', '{}', 0 FROM n`, id)
		if len(tallies(t, db)) != 1201 {
			t.Fatalf("%d users are counted, want 1201", len(tallies(t, db)))
		}
		_, err := s.Change(ctx, id, "", func(tx group.Tx) error {
			if err := tx.Delete(ctx); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.GroupDeleted, "ana", struct{}{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		counts := tallies(t, db)
		if n := counts[owner.UserID]; n != (group.Tally{Joined: 1, Owned: 1}) {
			t.Errorf("the owner's count is %+v, want the other group", n)
		}
		if len(counts) < 601 || len(counts) > 801 {
			t.Errorf("%d users are still counted, want some", len(counts))
		}
		if _, err := s.Trim(ctx, upkeep.Retention{Count: 10}, 10); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]group.Tally{owner.UserID: {Joined: 1, Owned: 1}}, tallies(t, db)); diff != "" {
			t.Errorf("after a sweep (-want +got):\n%s", diff)
		}
		if page, err := s.Read(ctx, id, 0, 0, []string{"a-1", "a-1200"}); err != nil || len(page.Members) != 2 {
			t.Errorf("the feed reads %d members, %v; want 2", len(page.Members), err)
		}
	})
}

// TestWritesOfAnOlderNodeAreCounted checks rows that a node of an older version writes.
// Such a node writes no counts, so triggers must.
func TestWritesOfAnOlderNodeAreCounted(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, s := t.Context(), sqlstore.New(db)
		left, gone := create(t, s), create(t, s)
		for _, id := range []string{left, gone} {
			for i := range 3 {
				exec(t, db, `INSERT INTO members (group_id, user_id, name, role, attributes, joined_at) VALUES ($1, $2, '', 'member', '{}', 0)`,
					id, "user-"+strconv.Itoa(i))
			}
		}
		exec(t, db, `DELETE FROM members WHERE group_id = $1 AND user_id = 'user-0'`, left)
		exec(t, db, `UPDATE members SET role = CASE user_id WHEN 'user-1' THEN 'owner' ELSE 'admin' END WHERE group_id = $1 AND user_id IN ('user-1', $2)`,
			left, owner.UserID)
		exec(t, db, `UPDATE groups SET deleted_at = `+db.Dialect().Now()+` WHERE id = $1`, gone)
		if _, err := s.Trim(ctx, upkeep.Retention{Count: 10}, 10); err != nil {
			t.Fatal(err)
		}
		want := map[string]group.Tally{owner.UserID: {Joined: 1}, "user-1": {Joined: 1, Owned: 1}, "user-2": {Joined: 1}}
		if diff := cmp.Diff(want, tallies(t, db)); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(recount(t, db), tallies(t, db)); diff != "" {
			t.Errorf("counts (-recounted +got):\n%s", diff)
		}
	})
}
