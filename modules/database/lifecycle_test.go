package database_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
)

func TestSQLiteLifecycle(t *testing.T) {
	t.Parallel()
	lifecycle(t, func(t *testing.T) (string, string) { t.Helper(); return "", t.TempDir() })
}

// lifecycle tests what both databases have in common. place returns the URL and the directory of
// a new database.
func lifecycle(t *testing.T, place func(*testing.T) (url, dir string)) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, func(*testing.T) (string, string)){
		"identity is made once":   testIdentity,
		"closed is unavailable":   testClosed,
		"migrator":                testMigrator,
		"newer schema is refused": testNewer,
		"clock":                   testClock,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, place)
		})
	}
}

func identity(t *testing.T, db *database.DB) string {
	t.Helper()
	id, err := db.Identity(t.Context())
	if err != nil || len(id) != 36 {
		t.Fatalf("identity %q, %v", id, err)
	}
	return id
}

func testIdentity(t *testing.T, place func(*testing.T) (string, string)) {
	url, dir := place(t)
	seen, keys := make(map[string]bool), make(map[string]bool)
	note := func(db *database.DB) {
		seen[identity(t, db)] = true
		for _, use := range []string{"a", "b"} {
			key, err := db.Key(use)
			if err != nil || len(key) != 32 {
				t.Fatalf("key %x, %v", key, err)
			}
			keys[string(key)] = true
		}
	}
	for range 3 {
		db := open(t, url, dir)
		if _, err := db.Key("a"); err == nil {
			t.Error("a key before the start")
		}
		if err := db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		note(db)
		stop(t, db)
	}
	url, dir = place(t)
	note(start(t, url, dir))
	if len(seen) != 2 || len(keys) != 4 {
		t.Errorf("two databases have %d identities and %d keys for two uses: %v", len(seen), len(keys), seen)
	}
}

func testClosed(t *testing.T, place func(*testing.T) (string, string)) {
	url, dir := place(t)
	db := open(t, url, dir)
	closed := func(when string) {
		t.Helper()
		nothing := func(context.Context, database.Querier) error { t.Error("fn ran"); return nil }
		isUnavailable(t, when+": View", db.View(t.Context(), nothing))
		isUnavailable(t, when+": ReadTx", db.ReadTx(t.Context(), nothing))
		isUnavailable(t, when+": Write", db.Write(t.Context(), nothing))
		isUnavailable(t, when+": Ping", db.Ping(t.Context()))
	}
	closed("before Start")
	stop(t, db)
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Start(t.Context()); err == nil {
		t.Error("it was started twice")
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	stop(t, db)
	stop(t, db)
	closed("after Stop")
}

func testMigrator(t *testing.T, place func(*testing.T) (string, string)) {
	url, dir := place(t)
	ctx := t.Context()
	m, err := database.OpenMigrator(ctx, database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	status := func(applied bool) {
		t.Helper()
		all, err := m.Status(ctx)
		if err != nil || len(all) == 0 {
			t.Fatalf("status: %v, %v", all, err)
		}
		if s := all[0]; s.Version != 1 || s.Name != "groups" || s.AppliedAt.IsZero() == applied {
			t.Errorf("status %+v, want applied: %v", s, applied)
		}
	}
	status(false)
	up, err := m.Up(ctx)
	if err != nil || len(up) == 0 || up[0].Version != 1 || up[0].Name != "groups" {
		t.Fatalf("up: %v, %v", up, err)
	}
	if again, err := m.Up(ctx); err != nil || len(again) != 0 {
		t.Errorf("up again: %v, %v", again, err)
	}
	status(true)
	for i := range up {
		down, err := m.Down(ctx)
		if err != nil || len(down) != 1 || down[0].Version != up[len(up)-1-i].Version {
			t.Fatalf("down: %v, %v", down, err)
		}
	}
	if down, err := m.Down(ctx); err != nil || len(down) != 0 {
		t.Errorf("down with nothing to take back: %v, %v", down, err)
	}
	status(false)
	m.Close()
	start(t, url, dir)
}

func testNewer(t *testing.T, place func(*testing.T) (string, string)) {
	url, dir := place(t)
	db := open(t, url, dir)
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	flag := "1"
	if db.Dialect() == database.Postgres {
		flag = "true"
	}
	mustWrite(t, db, "INSERT INTO moim_migrations (version_id, is_applied) VALUES (9000, "+flag+")")
	stop(t, db)
	contains(t, open(t, url, dir).Start(t.Context()), "the database is at version 9000, newer than this moim (")
	m, err := database.OpenMigrator(t.Context(), database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	_, err = m.Up(t.Context())
	contains(t, err, "upgrade moim")
	_, err = m.Down(t.Context())
	contains(t, err, "upgrade moim")
}

func testClock(t *testing.T, place func(*testing.T) (string, string)) {
	db := start(t, first(place(t)), t.TempDir())
	now := db.Dialect().Now()
	earlier := number(t, db, "SELECT "+now)
	waittest.Until(t, "the clock goes on", func() bool { return number(t, db, "SELECT "+now) > earlier })
	if n := number(t, db, "SELECT count(*) FROM deployment WHERE created_at < (SELECT "+now+") AND created_at > (SELECT "+now+") - $1", 60_000_000); n != 1 {
		t.Error("the deployment was not made within the last minute")
	}
}

func first(url, _ string) string { return url }

// testTogether starts several nodes on an empty database.
func testTogether(t *testing.T, server *pgtest.Server) {
	url := server.NewDatabase(t)
	var all sync.WaitGroup
	ids := make([]string, 4)
	for i := range ids {
		db := open(t, url, "")
		t.Cleanup(func() { stop(t, db) })
		all.Go(func() {
			if err := db.Start(t.Context()); err != nil {
				t.Errorf("start: %v", err)
				return
			}
			ids[i] = identity(t, db)
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("identities differ: %v", ids)
		}
	}
}
