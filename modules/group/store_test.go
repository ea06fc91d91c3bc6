package group_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// store is the two seams that sqlstore fulfils.
type store interface {
	group.Repository
	group.Log
	group.Trimmer
	group.Clock
}

// onBoth runs a test on a store of either database.
func onBoth(t *testing.T, test func(t *testing.T, st store)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, openStore(t))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, openStoreAt(t, pgtest.Start(t).NewDatabase(t)))
	})
}

// openStore returns a store on a SQLite file of its own.
func openStore(t *testing.T) store {
	t.Helper()
	return openStoreAt(t, "")
}

func openStoreAt(t *testing.T, url string) store {
	t.Helper()
	db, err := database.Open(database.Config{URL: url}, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := db.Stop(ctx); err != nil {
			t.Errorf("stop the database: %v", err)
		}
	})
	return sqlstore.New(db)
}
