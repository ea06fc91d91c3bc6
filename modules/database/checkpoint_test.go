package database_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
)

// copied copies only the file moim.db, checks its integrity and returns the number of rows in t.
func copied(t *testing.T, dir string) (rows int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "moim.db"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db := outside(t, file)
	var verdict string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("the integrity check of the copy says %q, %v", verdict, err)
	}
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&rows); err != nil {
		t.Errorf("the copy: %v", err)
	}
	return rows
}

// outside opens a SQLite file like another program.
func outside(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func noLog(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "moim.db-wal"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		t.Error(err)
	case info.Size() > 0:
		t.Errorf("the write-ahead log has %d bytes", info.Size())
	}
}

const (
	makeTable = "CREATE TABLE t (n INTEGER NOT NULL, data TEXT NOT NULL)"
	fillTable = "INSERT INTO t SELECT 1, hex(randomblob(2000)) FROM pragma_table_list"
)

func TestOneFileIsTheWholeDatabaseAfterStop(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(t *testing.T, db *database.DB) (end func()){
		"idle": func(*testing.T, *database.DB) func() { return func() {} },
		"with transactions that read": func(t *testing.T, db *database.DB) func() {
			t.Helper()
			var readers, reading sync.WaitGroup
			release := make(chan struct{})
			for range 3 {
				reading.Add(1)
				readers.Go(func() {
					_ = db.ReadTx(t.Context(), func(ctx context.Context, q database.Querier) error {
						var n int
						err := q.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n)
						reading.Done()
						<-release
						return err
					})
				})
			}
			reading.Wait()
			mustWrite(t, db, fillTable)
			return func() {
				close(release)
				readers.Wait()
			}
		},
		"with rows that are read": func(t *testing.T, db *database.DB) func() {
			t.Helper()
			var reader sync.WaitGroup
			reading, release := make(chan struct{}), make(chan struct{})
			reader.Go(func() {
				err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
					rows, err := q.QueryContext(ctx, "SELECT n FROM t")
					if err != nil {
						return err
					}
					if !rows.Next() {
						t.Errorf("no row, %v", rows.Err())
					}
					close(reading)
					<-release
					return rows.Close()
				})
				if err != nil {
					t.Error(err)
				}
			})
			<-reading
			mustWrite(t, db, fillTable)
			return func() {
				close(release)
				reader.Wait()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			db := open(t, "", dir)
			if err := db.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, db, makeTable)
			for range 20 {
				mustWrite(t, db, fillTable)
			}
			end := use(t, db)
			want := number(t, db, "SELECT count(*) FROM t")
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				stop(t, db)
			}()
			waittest.Until(t, "the database is stopping", func() bool { return db.Ping(t.Context()) != nil })
			end()
			<-stopped
			noLog(t, dir)
			if got := copied(t, dir); int64(got) != want {
				t.Errorf("the copy has %d rows, want %d", got, want)
			}
		})
	}
}

func TestOneFileIsTheWholeDatabaseAfterMigrating(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, err := database.OpenMigrator(t.Context(), database.Config{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Close()
	noLog(t, dir)
}

// TestStopSaysThatTheLogIsStillNeeded checks that Stop ends in time and says what to do if
// another program's transaction prevents a checkpoint. Nothing may be lost.
func TestStopSaysThatTheLogIsStillNeeded(t *testing.T) {
	t.Parallel()
	var err error
	for range 6 { // Stop reserves a tenth of its time to close the file, which may be too short on a busy machine
		if err = stopBehindReader(t); err == nil {
			return
		}
	}
	t.Errorf("stop: %v", err)
}

// stopBehindReader stops a database while another program reads it. It returns the error of Stop.
func stopBehindReader(t *testing.T) error {
	t.Helper()
	dir := t.TempDir()
	var logged bytes.Buffer
	db, err := database.Open(database.Config{}, dir, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, db, makeTable)
	mustWrite(t, db, fillTable)
	reader, err := outside(t, filepath.Join(dir, "moim.db")).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback() }()
	var n int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, db, fillTable)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := db.Stop(ctx); err != nil {
		return err
	}
	if text := logged.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "moim.db-wal") {
		t.Errorf("Stop logged %q", text)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	again := start(t, "", dir)
	if got := number(t, again, "SELECT count(*) FROM t"); got != int64(2*n) {
		t.Errorf("%d rows, want %d", got, 2*n)
	}
	return nil
}
