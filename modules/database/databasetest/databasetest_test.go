package databasetest_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

// TestDatabases checks that new databases are migrated, and that nodes do not consider one a copy
// of another.
func TestDatabases(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(t *testing.T) (url, dir string){
		"SQLite":   func(t *testing.T) (string, string) { t.Helper(); return "", databasetest.Dir(t) },
		"Postgres": onServer(),
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for range 2 {
				url, dir := place(t)
				isMigrated(t, url, dir)
				seen[identity(t, url, dir)] = true
			}
			if len(seen) != 2 {
				t.Errorf("two databases have the identities %v", seen)
			}
		})
	}
}

func onServer() func(t *testing.T) (url, dir string) {
	var server *pgtest.Server
	return func(t *testing.T) (string, string) {
		t.Helper()
		if server == nil {
			server = pgtest.Start(t)
		}
		return databasetest.NewPostgres(t, server), ""
	}
}

func isMigrated(t *testing.T, url, dir string) {
	t.Helper()
	m, err := database.OpenMigrator(t.Context(), database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	pending, err := m.Up(t.Context())
	if err != nil || len(pending) > 0 {
		t.Errorf("a new database still had to be migrated: %v, %v", pending, err)
	}
}

func identity(t *testing.T, url, dir string) string {
	t.Helper()
	db, err := database.Open(database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Stop(context.Background()) }()
	id, err := db.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}
