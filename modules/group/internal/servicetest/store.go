package servicetest

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// postgres is the server that the tests of a package share.
var postgres = childtest.Shared[pgtest.Server]{Start: func(tb testing.TB) *pgtest.Server {
	return pgtest.Start(tb, "max_connections = 400")
}}

// Main returns what TestMain of a package that uses this one passes to
// childtest.VerifyMain.
func Main(m *testing.M) *childtest.Tests { return childtest.Main(m, &postgres).AtOnce(4) }

// NewPostgres returns the URL of a database without groups on the server that the
// tests of a package share.
func NewPostgres(tb testing.TB) string {
	tb.Helper()
	return databasetest.NewPostgres(tb, postgres.Get(tb))
}

// OnBoth runs a test on a store of either database.
func OnBoth(t *testing.T, test func(t *testing.T, st grouptest.Store)) {
	t.Helper()
	OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		t.Helper()
		test(t, sqlstore.New(db))
	})
}

// OnBothDatabases runs a test on a database of either kind.
func OnBothDatabases(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	OnBothURLs(t, func(t *testing.T, url string) {
		t.Helper()
		test(t, OpenDatabase(t, url))
	})
}

// OnBothURLs runs a test with the URL of a new database of either kind; empty: SQLite.
func OnBothURLs(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, "")
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, NewPostgres(t))
	})
}

// OpenStore returns a store on a new SQLite file.
func OpenStore(t *testing.T) grouptest.Store {
	t.Helper()
	return sqlstore.New(OpenDatabase(t, ""))
}

// OpenDatabase opens the database at url, or a new SQLite file if url is
// empty, until the test ends.
func OpenDatabase(tb testing.TB, url string) *database.DB {
	tb.Helper()
	return databasetest.Open(tb, url)
}
