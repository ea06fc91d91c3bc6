package database_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
)

// migrateURL is the variable that makes the test binary migrate the database at that URL.
const migrateURL = "MOIM_TEST_MIGRATE_URL"

// migrate applies all migrations.
func migrate(ctx context.Context, url, dir string) error {
	m, err := database.OpenMigrator(ctx, database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer m.Close()
	_, err = m.Up(ctx)
	return err
}

// before creates a database that has all migrations before this version.
func before(t *testing.T, version int64, url, dir string) {
	t.Helper()
	if err := migrate(t.Context(), url, dir); err != nil {
		t.Fatal(err)
	}
	m, err := database.OpenMigrator(t.Context(), database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for {
		undone, err := m.Down(t.Context())
		if err != nil || len(undone) != 1 {
			t.Fatalf("undone %v, %v", undone, err)
		}
		if undone[0].Version == version {
			return
		}
	}
}

// TestMigrationInStepsIsKilledAndLetsOthersWrite kills a process in the middle of a migration.
// Its finished steps must be kept, and the next process must continue there. Others must be able
// to write all the time.
func TestMigrationInStepsIsKilledAndLetsOthersWrite(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).NewDatabase(t)
	before(t, 29, url, "")
	ctx := t.Context()
	connect := func() *pgx.Conn {
		t.Helper()
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		return c
	}
	node, other := connect(), connect()
	exec := func(c *pgx.Conn, query string, args ...any) {
		t.Helper()
		if _, err := c.Exec(ctx, query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	count := func(query string) (n int64) {
		t.Helper()
		if err := other.QueryRow(ctx, query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	waiting := func() bool {
		return count("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 1
	}
	exec(node, `INSERT INTO groups (id, name, search, description, visibility, join_policy, attributes, member_count, owner_id, version, revision,
		created_at, updated_at, moved_at) VALUES ('g', '', '', '', 'public', 'open', '{}', 0, 'u', 1, 1, 1, 1, 1)`)
	exec(node, `INSERT INTO events (group_id, version, type, data, at)
		SELECT 'g', n, 'member.left', '{"userId":"' || n || '"}', 1 FROM generate_series(1, 20000) n`)

	// The lock of a table that the migration only reads stops it after its first statements. An
	// uncommitted row stops it in the eighth of ten steps.
	lock, row := begin(ctx, t, connect()), begin(ctx, t, connect())
	exec(lock.Conn(), "LOCK TABLE departures")
	child := startMigration(t, url)
	waittest.Until(t, "the migration waits for the table", waiting)
	exec(row.Conn(), "INSERT INTO traces (group_id, user_id) VALUES ('g', '15000')")
	if err := lock.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	steps := func() int64 { return count("SELECT done FROM moim_migration_steps WHERE version = 29") }
	waittest.Until(t, "the migration waits for the row", func() bool { return waiting() && steps() == 14000 })
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	m, err := database.OpenMigrator(ctx, database.Config{URL: url}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Down(ctx)
	m.Close()
	contains(t, err, "migration 29 is not finished")

	done := make(chan error, 1)
	go func() { done <- migrate(ctx, url, "") }()
	// When the row is unlocked, the server ends the statement that it still runs for the first
	// process.
	waittest.Until(t, "the next one waits for the row", func() bool {
		return count("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 2
	})
	exec(node, "SET lock_timeout = '30s'")
	exec(node, "INSERT INTO members (group_id, user_id, name, role, attributes, joined_at) VALUES ('g', 'new', '', 'member', '{}', 1)")
	exec(node, "UPDATE groups SET version = 20001, moved_at = 2 WHERE id = 'g'")
	exec(node, "INSERT INTO events (group_id, version, type, data, at) VALUES ('g', 20001, 'message.posted', '{}', 1)")
	if n := steps(); n != 14000 {
		t.Errorf("the second process went on after %d rows, want 14000", n)
	}
	if err := row.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := count("SELECT COUNT(*) FROM traces"); n != 20001 {
		t.Errorf("%d users are traced, want 20001", n)
	}
}

func begin(ctx context.Context, t *testing.T, c *pgx.Conn) pgx.Tx {
	t.Helper()
	tx, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func startMigration(t *testing.T, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), migrateURL+"="+url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// TestMigrationInStepsCoversAllRows checks that the steps cover all rows. On SQLite, a step has
// the same number of rows.
func TestMigrationInStepsCoversAllRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before(t, 29, "", dir)
	raw, err := sql.Open("sqlite", filepath.Join(dir, "moim.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.ExecContext(t.Context(), `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 6000)
		INSERT INTO events (group_id, version, type, data, at) SELECT 'g' || n / 3000, n, 'member.left', '{"userId":"' || n || '"}', 1 FROM n`)
	if err := errors.Join(err, raw.Close(), migrate(t.Context(), "", dir)); err != nil {
		t.Fatal(err)
	}
	if n := number(t, start(t, "", dir), "SELECT COUNT(*) FROM traces"); n != 6000 {
		t.Errorf("%d users are traced, want 6000", n)
	}
}
