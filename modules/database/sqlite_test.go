package database_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
)

func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "on start")
	cmd, lines := startHelper(t, dir)
	acknowledged := make(map[int64]bool)
	for len(acknowledged) < 200 && lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("the helper printed %q", lines.Text())
		}
		acknowledged[n] = true
	}
	_ = cmd.Process.Kill()
	for lines.Scan() { // lines that it printed before it died also count
		if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
			acknowledged[n] = true
		}
	}
	_ = cmd.Wait()

	db := start(t, "", dir)
	for n := range acknowledged {
		if rows := number(t, db, "SELECT count(*) FROM acknowledged WHERE n = $1", n); rows != 2 {
			t.Errorf("write %d was acknowledged and has %d rows, want 2", n, rows)
		}
	}
	if halves := number(t, db, "SELECT count(*) FROM (SELECT n FROM acknowledged GROUP BY n HAVING count(*) <> 2)"); halves != 0 {
		t.Errorf("%d writes are there in part", halves)
	}
	if bad := number(t, db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"); bad != 0 {
		t.Errorf("the integrity check has %d complaints", bad)
	}
	for path, want := range map[string]os.FileMode{"": 0o700, "moim.db": 0o600, "moim.db-wal": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s was made with mode %o, want %o", info.Name(), got, want)
		}
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, lines := startHelper(t, dir)
	if lines.Text() != "open" {
		t.Fatalf("the helper printed %q", lines.Text())
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(filepath.Join(dir, "moim.db"), link); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"", "sqlite:" + link} {
		err := open(t, url, dir).Start(t.Context())
		contains(t, err, "another moim (process "+strconv.Itoa(cmd.Process.Pid)+") has ")
		contains(t, err, "use PostgreSQL for more")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	start(t, "", dir)

	second := open(t, "", dir) // another instance in the same process is also refused
	contains(t, second.Start(t.Context()), "another moim")
	if _, err := database.OpenMigrator(t.Context(), database.Config{}, dir, nil); err == nil {
		t.Error("migrations could be run beside an open database")
	}
}

func TestFailedWriteUndoesNothingElse(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	mustWrite(t, db, "CREATE TABLE t (n INTEGER NOT NULL UNIQUE)")
	mine := errors.New("mine")
	var all sync.WaitGroup
	const n = 200
	for i := range n {
		all.Go(func() {
			defer func() {
				if v := recover(); (i%4 == 2) != (v != nil) {
					t.Errorf("write %d panicked with %v", i, v)
				}
			}()
			err := insist(t.Context(), db, func(ctx context.Context, q database.Querier) error {
				if _, err := q.ExecContext(ctx, "INSERT INTO t VALUES ($1)", i); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return mine
				case 2:
					panic("mine")
				case 3: // breaks the constraint
					_, err := q.ExecContext(ctx, "INSERT INTO t VALUES ($1)", i)
					return err
				}
				return nil
			})
			switch {
			case i%4 == 0 && err != nil, i%4 == 1 && err != mine, i%4 == 3 && err == nil: //nolint:errorlint // the error must be returned unchanged
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if got := number(t, db, "SELECT count(*) FROM t"); got != n/4 {
		t.Errorf("%d rows, want %d", got, n/4)
	}
	if got := number(t, db, "SELECT count(*) FROM t WHERE n % 4 <> 0"); got != 0 {
		t.Errorf("%d rows of failed writes", got)
	}
}

func TestWritersDoNotWaitBeyondTheirDeadline(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	mustWrite(t, db, "CREATE TABLE t (n INTEGER)")
	held, release := make(chan struct{}), make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() {
		err := db.Write(t.Context(), func(context.Context, database.Querier) error {
			close(held)
			<-release
			return nil
		})
		if err != nil {
			t.Errorf("the holder: %v", err)
		}
	})
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	isUnavailable(t, "a write behind another", write(ctx, db, "INSERT INTO t VALUES (1)"))
	cancelled, stopWaiting := context.WithCancel(t.Context())
	stopWaiting()
	if err := write(cancelled, db, "INSERT INTO t VALUES (1)"); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled caller: %v", err)
	}
	close(release)
	holder.Wait()

	// A deadline that passes during a change ends and undoes only that change.
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		if _, err := q.ExecContext(ctx, "INSERT INTO t VALUES (2)"); err != nil {
			return err
		}
		<-ctx.Done()
		var n int
		return q.QueryRowContext(ctx, "SELECT 1").Scan(&n)
	})
	isUnavailable(t, "a write that took too long", err)
	mustWrite(t, db, "INSERT INTO t VALUES (3)")
	if got := number(t, db, "SELECT sum(n) FROM t"); got != 3 {
		t.Errorf("the sum is %d, want 3", got)
	}
}

// TestSQLiteIsDurable checks that SQLite asks the disk to sync. No other test can see this.
func TestSQLiteIsDurable(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"}
	err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
		for pragma, value := range want {
			var got string
			if err := q.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil {
				return err
			}
			if got != value {
				t.Errorf("%s is %s, want %s", pragma, got, value)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadTransactionSeesOneMoment(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	readsOneMoment(t, db)
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	isUnavailable(t, "writing on a connection that reads", err)
}

func readsOneMoment(t *testing.T, db *database.DB) {
	t.Helper()
	mustWrite(t, db, "CREATE TABLE t (n INTEGER)")
	err := db.ReadTx(t.Context(), func(ctx context.Context, q database.Querier) error {
		for range 2 {
			var n int
			if err := q.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("%d rows within the transaction, want 0", n)
			}
			mustWrite(t, db, "INSERT INTO t VALUES (1)")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows after it, want 2", n)
	}
}

// TestReadTransactionsDoNotWaitForEachOther opens as many transactions as there are connections.
// Their statements are not prepared yet. Preparing one must not need a second connection.
func TestReadTransactionsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	readers := max(4, runtime.GOMAXPROCS(0))
	var open, all sync.WaitGroup
	open.Add(readers)
	for i := range readers {
		all.Go(func() {
			var n int
			err := db.ReadTx(ctx, func(ctx context.Context, q database.Querier) error {
				open.Done()
				open.Wait()
				return q.QueryRowContext(ctx, "SELECT count(*) + "+strconv.Itoa(i)+" FROM deployment").Scan(&n)
			})
			if err != nil || n != i+1 {
				t.Errorf("reader %d: %d, %v", i, n, err)
			}
		})
	}
	all.Wait()
}

func TestDiskThatTakesNoWrites(t *testing.T) {
	t.Parallel()
	const fill = "INSERT INTO t SELECT hex(randomblob(1000)) FROM pragma_table_list"
	for name, c := range map[string]struct{ fails, mended string }{
		// These statements make SQLite answer as on a full disk or with a read-only file.
		"full":      {"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"},
		"read-only": {"PRAGMA query_only = 1", "SELECT 1"}, // a new connection ends this state
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := start(t, "", t.TempDir())
			mustWrite(t, db, "CREATE TABLE t (data TEXT NOT NULL)")
			mustWrite(t, db, c.fails)
			isUnavailable(t, "a write", write(t.Context(), db, fill))
			if n := number(t, db, "SELECT count(*) FROM t"); n != 0 {
				t.Errorf("%d rows of a failed write", n)
			}
			mustWrite(t, db, c.mended)
			mustWrite(t, db, fill)
		})
	}
}

// TestFullDisk mounts its own file system, which needs special rights.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	db := start(t, "", dir)
	mustWrite(t, db, "CREATE TABLE t (data TEXT NOT NULL)")
	mustWrite(t, db, "INSERT INTO t VALUES ('kept')")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 16<<20), 0o600); err == nil {
		t.Fatal("the disk is not small")
	}
	const fill = "INSERT INTO t SELECT hex(randomblob(10000)) FROM pragma_table_list"
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			isUnavailable(t, "a write to a full disk", write(t.Context(), db, fill))
			if n := number(t, db, "SELECT count(*) FROM t"); n != 1 {
				t.Errorf("%d rows, want 1", n)
			}
		})
	}
	all.Wait()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, db, "INSERT INTO t VALUES ('again')")
	if n := number(t, db, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// TestLongResultsAreComplete checks that a query returns all rows in order, even if it has more
// rows than are read ahead.
func TestLongResultsAreComplete(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	for _, want := range []int{0, 1, 99, 100, 101, 1000} {
		err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
			rows, err := q.QueryContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i FROM n WHERE i < $1", want)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for i := range want {
				var got int
				if !rows.Next() {
					t.Fatalf("%d rows, want %d: %v", i, want, rows.Err())
				}
				if err := rows.Scan(&got); err != nil || got != i {
					t.Fatalf("row %d is %d, %v", i, got, err)
				}
			}
			if rows.Next() {
				t.Errorf("more than %d rows", want)
			}
			return rows.Err()
		})
		if err != nil {
			t.Errorf("%d rows: %v", want, err)
		}
	}
}

// TestUnusableDirectory checks that a directory that cannot be written to is a permanent error,
// not a dependency that is down.
func TestUnusableDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := open(t, "", filepath.Join(file, "data")).Start(t.Context())
	if errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("the error is called unavailable: %v", err)
	}
	contains(t, err, "open the database: mkdir "+file)
}
