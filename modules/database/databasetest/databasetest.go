// Package databasetest creates databases for tests, with the newest schema. Migrating an
// empty database takes more than a second under the race detector, and most tests need
// their own database. The package knows no tables except those of package database.
package databasetest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
)

// Dir returns a new data directory. It contains the database that a node without database.url
// opens. The database has no identity yet.
func Dir(tb testing.TB) string {
	tb.Helper()
	file, err := sqlite()
	if err != nil {
		tb.Fatalf("databasetest: migrate a SQLite file: %v", err)
	}
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "moim.db"), file, 0o600); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// NewPostgres creates a database on a server, and returns its URL. It has no identity yet.
func NewPostgres(tb testing.TB, server *pgtest.Server) string {
	tb.Helper()
	return server.NewCopy(tb, func(url string) error { return migrate(url, "") })
}

// Open opens the database at url, or a new SQLite file if url is empty. The database is
// closed when the test ends.
func Open(tb testing.TB, url string) *database.DB {
	tb.Helper()
	dir := ""
	if url == "" {
		dir = Dir(tb)
	}
	db, err := database.Open(database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := db.Stop(ctx); err != nil {
			tb.Errorf("stop the database: %v", err)
		}
	})
	return db
}

// sqlite returns a SQLite file with the newest schema.
var sqlite = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "databasetest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := migrate("", dir); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "moim.db"))
})

// migrate migrates a database to the newest schema.
func migrate(url, dir string) error {
	ctx := context.Background()
	m, err := database.OpenMigrator(ctx, database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer m.Close()
	_, err = m.Up(ctx)
	return err
}
