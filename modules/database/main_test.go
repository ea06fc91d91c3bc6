package database_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
)

// helperDir is the variable that makes the test binary run [helper] on the database in that
// directory.
const helperDir = "MOIM_TEST_DATABASE_DIR"

func TestMain(m *testing.M) {
	if url := os.Getenv(migrateURL); url != "" {
		if err := migrate(context.Background(), url, ""); err != nil {
			fmt.Println("failed:", err)
		}
		return
	}
	if dir := os.Getenv(helperDir); dir != "" {
		if err := helper(dir); err != nil {
			fmt.Println("refused:", err)
		}
		return
	}
	childtest.VerifyMain(childtest.Main(m))
}

// helper opens the database and writes from several goroutines until it is killed. It prints each
// number once its write is acknowledged. A write inserts two rows.
func helper(dir string) error {
	ctx := context.Background()
	db, err := database.Open(database.Config{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := db.Start(ctx); err != nil {
		return err
	}
	if err := write(ctx, db, "CREATE TABLE IF NOT EXISTS acknowledged (n INTEGER NOT NULL, half INTEGER NOT NULL)"); err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error)
	for first := range 8 {
		go func() {
			for n := first; ; n += 8 {
				err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
					_, err1 := q.ExecContext(ctx, "INSERT INTO acknowledged VALUES ($1, 1)", n)
					_, err2 := q.ExecContext(ctx, "INSERT INTO acknowledged VALUES ($1, 2)", n)
					return errors.Join(err1, err2)
				})
				if err != nil {
					failed <- err
					return
				}
				fmt.Println(n)
			}
		}()
	}
	return <-failed
}

// startHelper starts a helper process and returns a scanner of its output.
func startHelper(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the helper printed nothing: %v", lines.Err())
	}
	return cmd, lines
}

func open(tb testing.TB, url, dir string) *database.DB {
	tb.Helper()
	db, err := database.Open(database.Config{URL: url}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// start opens a database until the test ends.
func start(tb testing.TB, url, dir string) *database.DB {
	tb.Helper()
	db := open(tb, url, dir)
	if err := db.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, db) })
	return db
}

func stop(tb testing.TB, db *database.DB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := db.Stop(ctx); err != nil {
		tb.Errorf("stop: %v", err)
	}
}

// write runs one statement in a transaction.
func write(ctx context.Context, db *database.DB, query string, args ...any) error {
	return db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, query, args...)
		return err
	})
}

// insist is [database.DB.Write] with retries. It retries if a busy machine could not start the
// change in time.
func insist(ctx context.Context, db *database.DB, fn database.Func) error {
	for {
		var began atomic.Bool
		err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			began.Store(true)
			return fn(ctx, q)
		})
		if began.Load() || !errors.Is(err, fault.ErrUnavailable) {
			return err
		}
	}
}

func mustWrite(tb testing.TB, db *database.DB, query string, args ...any) {
	tb.Helper()
	if err := write(tb.Context(), db, query, args...); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

// number runs a query that returns one number.
func number(tb testing.TB, db *database.DB, query string, args ...any) (n int64) {
	tb.Helper()
	err := db.View(tb.Context(), func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, query, args...).Scan(&n)
	})
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return n
}

func isUnavailable(tb testing.TB, what string, err error) {
	tb.Helper()
	if !errors.Is(err, fault.ErrUnavailable) {
		tb.Errorf("%s: %v, want unavailable", what, err)
	}
}

func contains(tb testing.TB, err error, part string) {
	tb.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		tb.Errorf("error %v, want one with %q", err, part)
	}
}
