package sqlstore_test

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// addGroups inserts n groups. Their ids begin with prefix, and their names end in their
// number.
func addGroups(t *testing.T, db *database.DB, prefix, name string, n int) {
	t.Helper()
	for from := 1; from <= n; from += 500 {
		exec(t, db, `WITH RECURSIVE n(i) AS (SELECT CAST($3 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < $4)
			INSERT INTO groups (id, name, search, description, visibility, join_policy, attributes, member_count, owner_id,
				version, revision, created_at, updated_at, moved_at)
			SELECT CAST($1 AS TEXT) || (1000000 + i), CAST($2 AS TEXT) || i, CAST($2 AS TEXT) || i, '', 'public', 'open', '{}', 0, 'nobody', 1, 1, 0, 0, 0 FROM n`,
			prefix, name, from, min(from+499, n))
	}
}

// TestSearchOfManyGroups checks that a search finds the right groups, however many have the
// word and however old they are. The store searches in different ways for that.
func TestSearchOfManyGroups(t *testing.T) {
	t.Parallel()
	childtest.Bulk(t)
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		s := sqlstore.New(db)
		addGroups(t, db, "a", "old needle ", 30)
		addGroups(t, db, "b", "hay 모임 ", 20_200)
		addGroups(t, db, "c", "new ", 1100)
		addGroups(t, db, "d", "abc bcd cda dab ", 3)
		for _, tc := range []struct {
			query, first string
			n            int
		}{
			{"new", "c1001100", 50},    // found among the newest groups
			{"needle", "a1000030", 30}, // found by the index
			{"old needle 7", "a1000007", 1},
			{"hay", "b1020200", 50}, // too many for the index, and none among the newest groups
			{"모임", "b1020200", 50},
			{"임", "b1020200", 50},
			{"모임 12", "b1012999", 50},
			{"old needle 99", "", 0},
			{"abcda", "", 0}, // all its pairs of characters exist, but not the word
			{"☃", "", 0},
		} {
			groups, err := s.PublicGroups(t.Context(), tc.query, "", 50)
			if err != nil || len(groups) != tc.n || tc.n > 0 && groups[0].ID != tc.first {
				t.Errorf("%q: %d groups, %v; want %d from %s", tc.query, len(groups), err, tc.n, tc.first)
				if len(groups) > 0 {
					t.Errorf("%q: the first is %s", tc.query, groups[0].ID)
				}
			}
		}
		pages := 0
		for before := ""; ; pages++ {
			groups, err := s.PublicGroups(t.Context(), "hay", before, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if len(groups) < 1000 {
				if n := pages*1000 + len(groups); n != 20_200 {
					t.Errorf("%d groups page by page, want 20200", n)
				}
				break
			}
			before = groups[len(groups)-1].ID
		}
	})
}

// TestSearchFindsGroupsOfAnOlderNode checks groups that a node of an older version wrote.
// Such a node writes only the group's row.
func TestSearchFindsGroupsOfAnOlderNode(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		s := sqlstore.New(db)
		id := create(t, s)
		find := func(what, query string, want int) {
			t.Helper()
			if groups, err := s.PublicGroups(t.Context(), query, "", 10); err != nil || len(groups) != want {
				t.Errorf("%s: %q finds %d, %v; want %d", what, query, len(groups), err, want)
			}
		}
		exec(t, db, `UPDATE groups SET visibility = 'public', search = 'first' WHERE id = $1`, id)
		find("made public", "first", 1)
		exec(t, db, `UPDATE groups SET search = 'second' WHERE id = $1`, id)
		find("renamed", "first", 0)
		find("renamed", "second", 1)
		exec(t, db, `UPDATE groups SET deleted_at = 1 WHERE id = $1`, id)
		find("deleted", "second", 0)
		exec(t, db, `UPDATE groups SET deleted_at = NULL, visibility = 'private' WHERE id = $1`, id)
		find("private", "second", 0)
		exec(t, db, `UPDATE groups SET visibility = 'public' WHERE id = $1`, id)
		find("public again", "second", 1)
		exec(t, db, `DELETE FROM groups WHERE id = $1`, id)
		find("removed", "second", 0)
	})
}

// TestSearchesAtOnce checks that concurrent searches on a node, which wait for each other,
// all find the group.
func TestSearchesAtOnce(t *testing.T) {
	t.Parallel()
	s := sqlstore.New(servicetest.OpenDatabase(t, ""))
	g := fixture()
	g.Name, g.Visibility = "one of many", group.Public
	if _, _, err := s.Create(t.Context(), "alice", g, owner, nil, nil); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	const callers = 32
	for range callers {
		go func() {
			groups, err := s.PublicGroups(t.Context(), "many", "", 10)
			if err == nil && len(groups) != 1 {
				t.Errorf("%d groups", len(groups))
			}
			errs <- err
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
