package sqlstore_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// migrated fills a database with the newest schema and takes it back to an older version.
// Opening it again then migrates it.
func migrated(t *testing.T, url string, version int64, fill func(*testing.T, *database.DB)) *database.DB {
	t.Helper()
	dir, log := databasetest.Dir(t), slog.New(slog.DiscardHandler)
	cfg := database.Config{URL: url}
	start := func() *database.DB {
		t.Helper()
		db, err := database.Open(cfg, dir, log)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := start()
	fill(t, db)
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := database.OpenMigrator(t.Context(), cfg, dir, log)
	if err != nil {
		t.Fatal(err)
	}
	for {
		undone, err := m.Down(t.Context())
		if err != nil || len(undone) != 1 {
			t.Fatalf("undone %v, %v", undone, err)
		}
		if undone[0].Version == version+1 {
			break
		}
	}
	m.Close()
	db = start()
	t.Cleanup(func() {
		if err := db.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestMigrationFillsWhatIsDerived(t *testing.T) {
	t.Parallel()
	servicetest.OnBothURLs(t, func(t *testing.T, url string) {
		db := migrated(t, url, 11, func(t *testing.T, db *database.DB) {
			t.Helper()
			ctx, s := t.Context(), sqlstore.New(db)
			ids := []string{create(t, s), create(t, s), create(t, s)}
			for i, id := range ids {
				_, err := s.Change(ctx, id, "", func(tx group.Tx) error {
					for _, user := range []string{"x", "y", "z"}[i:] {
						if err := tx.AddMember(ctx, group.Member{UserID: user, Role: group.MemberRole}); err != nil {
							return err
						}
					}
					_, err := tx.Append(ctx, group.MemberJoined, "x", struct{}{})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			found := fixture()
			found.Name, found.Visibility = "저녁 모임", group.Public
			hidden := fixture()
			hidden.Name, hidden.Attributes = "Chess club", json.RawMessage(`{"game":"chess","level":3,"ranked":true,"more":{},"none":null}`)
			odd := fixture() // JSON that PostgreSQL cannot store
			odd.Attributes = json.RawMessage(`{"a":"\u0000","b":"\ud800","c":1e999999}`)
			for _, g := range []group.Group{found, hidden, odd} {
				if _, _, err := s.Create(ctx, "alice", g, group.Member{UserID: "w", Role: group.Owner}, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Change(ctx, ids[0], "", func(tx group.Tx) error {
				if err := tx.Delete(ctx); err != nil {
					return err
				}
				_, err := tx.Append(ctx, group.GroupDeleted, "ana", struct{}{})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		want := map[string]group.Tally{owner.UserID: {Joined: 2, Owned: 2}, "y": {Joined: 1}, "z": {Joined: 2}, "w": {Joined: 3, Owned: 3}}
		if diff := cmp.Diff(want, tallies(t, db)); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(recount(t, db), tallies(t, db)); diff != "" {
			t.Errorf("counts (-recounted +got):\n%s", diff)
		}
		for what, c := range map[string]struct {
			filter group.Filter
			want   int
		}{
			"all, by size":          {group.Filter{Order: group.Largest}, 5},
			"private, by name":      {group.Filter{Query: "chess cl"}, 1},
			"by a string":           {group.Filter{Attributes: map[string]string{"game": "chess"}}, 1},
			"by a number":           {group.Filter{Attributes: map[string]string{"level": "3"}}, 1},
			"by a boolean":          {group.Filter{Attributes: map[string]string{"ranked": "true"}}, 1},
			"by what is no value":   {group.Filter{Attributes: map[string]string{"more": "{}"}}, 0},
			"by what is not stored": {group.Filter{Attributes: map[string]string{"none": ""}}, 0},
		} {
			if groups, err := sqlstore.New(db).FindGroups(t.Context(), c.filter, "", 10); err != nil || len(groups) != c.want {
				t.Errorf("%s: found %d groups, %v; want %d", what, len(groups), err, c.want)
			}
		}
		if groups, err := sqlstore.New(db).PublicGroups(t.Context(), "녁 모", "", 10); err != nil || len(groups) != 1 {
			t.Errorf("a search finds %d groups, %v; want 1", len(groups), err)
		}
	})
}

// TestMigrationAnalyzesSearch checks that PostgreSQL has statistics of the search index at once
// after a migration that creates it.
func TestMigrationAnalyzesSearch(t *testing.T) {
	t.Parallel()
	db := migrated(t, servicetest.NewPostgres(t), 12, func(t *testing.T, db *database.DB) {
		t.Helper()
		for range 10 {
			g := fixture()
			g.Visibility = group.Public
			if _, _, err := sqlstore.New(db).Create(t.Context(), "alice", g, group.Member{UserID: "w", Role: group.Owner}, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
	var columns int
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, `SELECT count(*) FROM pg_stats WHERE tablename = 'groups_search'`).Scan(&columns)
	})
	if err != nil || columns != 1 {
		t.Errorf("statistics of %d columns of the index, %v; want 1", columns, err)
	}
}

// TestMigrationUncountsDeletedMessages checks that messages that were deleted before the
// migration do not count as unread.
func TestMigrationUncountsDeletedMessages(t *testing.T) {
	t.Parallel()
	servicetest.OnBothURLs(t, func(t *testing.T, url string) {
		db := migrated(t, url, 32, func(t *testing.T, db *database.DB) {
			t.Helper()
			ctx, s := t.Context(), sqlstore.New(db)
			_, err := s.Change(ctx, create(t, s), "", func(tx group.Tx) error {
				for range 3 { // versions 2 to 4
					if _, err := tx.Append(ctx, group.MessagePosted, "ana", map[string]int{"data": 1}); err != nil {
						return err
					}
				}
				_, err := tx.Append(ctx, group.MessageDeleted, "ana", map[string]int{"version": 3})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		mine, err := sqlstore.New(db).UserGroups(t.Context(), owner.UserID, "", 10)
		if err != nil || len(mine) != 1 || mine[0].Unread != 2 {
			t.Errorf("%+v, %v; want 2 unread", mine, err)
		}
	})
}
