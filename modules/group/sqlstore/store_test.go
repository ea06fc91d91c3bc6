package sqlstore_test

import (
	"context"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLite(t *testing.T) {
	t.Parallel()
	grouptest.Run(t, func(t *testing.T) grouptest.Store { return sqlstore.New(start(t, "")) })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_connections = 400")
	grouptest.Run(t, func(t *testing.T) grouptest.Store { return sqlstore.New(start(t, server.NewDatabase(t))) })
	t.Run("HeldRelay", func(t *testing.T) { t.Parallel(); testHeldRelay(t, server) })
	t.Run("HeldExpire", func(t *testing.T) { t.Parallel(); testHeldExpire(t, server) })
	t.Run("TwoNodes", func(t *testing.T) { t.Parallel(); testTwoNodes(t, server) })
	t.Run("BusyGroup", func(t *testing.T) { t.Parallel(); testBusyGroup(t, server) })
}

// start opens the database at url, or a new SQLite file, until the test ends.
func start(tb testing.TB, url string) *database.DB {
	tb.Helper()
	db, err := database.Open(database.Config{URL: url}, tb.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return db
}
