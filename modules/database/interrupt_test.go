package database_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
)

// endless are queries that never end, before or after their first row.
var endless = map[string]string{
	"before the first row": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0",
	"between two rows":     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i = 1 OR i < 0",
}

// within fails the test if fn does not return.
func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(40 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// all reads every row.
func all(ctx context.Context, q database.Querier, query string) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return err
		}
	}
	return rows.Err()
}

func insert(n int) database.Func {
	return func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, "INSERT INTO t VALUES ($1)", n)
		return err
	}
}

func TestSlowSQLiteStatementEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	mustWrite(t, db, "CREATE TABLE t (n INTEGER NOT NULL)")
	for _, call := range []struct {
		name string
		run  func(context.Context, database.Func) error
	}{
		{"View", db.View},
		{"ReadTx", db.ReadTx},
		{"Write", db.Write},
	} {
		for where, query := range endless {
			for twice := range 2 { // the second time, the statement is already prepared
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				within(t, call.name+", "+where, func() {
					err := call.run(ctx, func(ctx context.Context, q database.Querier) error { return all(ctx, q, query) })
					isUnavailable(t, fmt.Sprintf("%s, %s, run %d", call.name, where, twice), err)
				})
				cancel()
			}
		}
		within(t, call.name+", one row", func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := call.run(ctx, func(ctx context.Context, q database.Querier) error {
				var n int64
				return q.QueryRowContext(ctx, endless["before the first row"]).Scan(&n)
			})
			isUnavailable(t, call.name+", one row", err)
		})
	}
	for name, call := range map[string]func(context.Context, database.Func) error{"View": db.View, "ReadTx": db.ReadTx, "Write": db.Write} {
		within(t, name+", with another context", func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			isUnavailable(t, name+", with another context", call(ctx, func(_ context.Context, q database.Querier) error {
				return all(t.Context(), q, endless["between two rows"])
			}))
		})
	}
	within(t, "an insert", func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		isUnavailable(t, "an insert", write(ctx, db, "INSERT INTO t "+endless["before the first row"]))
	})
	within(t, "a statement whose caller has gone", func() {
		ctx, cancel := context.WithCancel(t.Context())
		var caller sync.WaitGroup
		began := make(chan struct{})
		caller.Go(func() {
			err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
				close(began)
				return all(ctx, q, endless["between two rows"])
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a statement whose caller has gone: %v", err)
			}
		})
		<-began
		cancel()
		caller.Wait()
	})
	mustWrite(t, db, "INSERT INTO t VALUES (1)")
	if n := number(t, db, "SELECT count(*) FROM t"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestInterruptedChangeFailsNoOther interrupts a change, which rolls back the transaction that it
// shares with others. The others must still be committed, each once, and return no error.
func TestInterruptedChangeFailsNoOther(t *testing.T) {
	t.Parallel()
	slow := map[string]string{"insert": "INSERT INTO t " + endless["before the first row"]}
	for where, query := range endless {
		slow[where] = query
	}
	for name, query := range slow {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := start(t, "", t.TempDir())
			mustWrite(t, db, "CREATE TABLE t (n INTEGER NOT NULL UNIQUE)")

			held, release := make(chan struct{}), make(chan struct{})
			var calls sync.WaitGroup
			calls.Go(func() {
				_ = db.Write(t.Context(), func(context.Context, database.Querier) error {
					select {
					case held <- struct{}{}: // only the first time
					default:
					}
					<-release
					return nil
				})
			})
			<-held
			const writes = 40
			for n := range writes {
				calls.Go(func() {
					if n%10 == 5 {
						ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
						defer cancel()
						err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
							if err := insert(-n)(ctx, q); err != nil {
								return err
							}
							if name == "insert" {
								_, err := q.ExecContext(ctx, query)
								return err
							}
							return all(ctx, q, query)
						})
						isUnavailable(t, "the slow change", err)
						return
					}
					if err := db.Write(t.Context(), insert(n)); err != nil {
						t.Errorf("change %d beside a slow one: %v", n, err)
					}
				})
			}
			close(release)
			within(t, "a change", calls.Wait)
			if n := number(t, db, "SELECT count(*) FROM t WHERE n >= 0"); n != writes-writes/10 {
				t.Errorf("%d changes are there, want %d", n, writes-writes/10)
			}
			if n := number(t, db, "SELECT count(*) FROM t WHERE n < 0"); n != 0 {
				t.Errorf("%d slow changes are there in part", n)
			}
		})
	}
}

// TestChangesBehindASlowOneAreInTime checks that a slow change without its own deadline leaves
// enough time for the changes behind it.
func TestChangesBehindASlowOneAreInTime(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	mustWrite(t, db, "CREATE TABLE t (n INTEGER NOT NULL)")
	began := make(chan struct{}, 1)
	var calls sync.WaitGroup
	calls.Go(func() {
		err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
			began <- struct{}{}
			_, err := q.ExecContext(ctx, "INSERT INTO t "+endless["before the first row"])
			return err
		})
		isUnavailable(t, "the slow change", err)
	})
	<-began
	for n := range 10 {
		calls.Go(func() {
			if err := db.Write(t.Context(), insert(n)); err != nil {
				t.Errorf("change %d behind a slow one: %v", n, err)
			}
		})
	}
	within(t, "a change", calls.Wait)
	if n := number(t, db, "SELECT count(*) FROM t"); n != 10 {
		t.Errorf("%d rows, want 10", n)
	}
}

// TestChangesRunAgainKeepTheirOutcomes checks that changes that fail, panic or are canceled keep
// their result when the others run again.
func TestChangesRunAgainKeepTheirOutcomes(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	mustWrite(t, db, "CREATE TABLE t (n INTEGER NOT NULL)")
	mine := errors.New("mine")
	var calls sync.WaitGroup
	for round := range 5 {
		for i := range 40 {
			calls.Go(func() {
				n := 100*round + i
				defer func() {
					if v := recover(); (i%4 == 2) != (v != nil) {
						t.Errorf("change %d panicked with %v", n, v)
					}
				}()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ran := 0
				err := insist(ctx, db, func(ctx context.Context, q database.Querier) error {
					ran++
					if err := insert(n)(ctx, q); err != nil {
						return err
					}
					switch {
					case i == 20:
						short, stop := context.WithTimeout(ctx, 10*time.Millisecond)
						defer stop()
						_, err := q.ExecContext(short, "INSERT INTO t "+endless["before the first row"])
						return err
					case i%4 == 1:
						return mine
					case i%4 == 2:
						panic("mine")
					case i%4 == 3:
						cancel()
					}
					return nil
				})
				switch {
				case i == 20:
					isUnavailable(t, "the slow change", err)
				case i%4 == 0 && err != nil, i%4 == 1 && !errors.Is(err, mine), i%4 == 3 && err != nil && !errors.Is(err, context.Canceled):
					t.Errorf("change %d ran %d times: %v", n, ran, err)
				}
			})
		}
	}
	within(t, "a change", calls.Wait)
	if n := number(t, db, "SELECT count(DISTINCT n) FROM t WHERE n % 4 = 0"); n != 45 {
		t.Errorf("%d changes are there, want 45", n)
	}
	for what, query := range map[string]string{
		"changes are there twice":       "SELECT count(*) - count(DISTINCT n) FROM t",
		"failed changes are there":      "SELECT count(*) FROM t WHERE n % 4 IN (1, 2)",
		"slow changes are there":        "SELECT count(*) FROM t WHERE n % 100 = 20",
		"complaints of the database":    "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
		"changes that nobody asked for": "SELECT count(*) FROM t WHERE n < 0 OR n % 100 > 39",
	} {
		if n := number(t, db, query); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// testSlowPostgres runs statements that sleep longer than their deadlines.
func testSlowPostgres(t *testing.T, server *pgtest.Server) {
	db := start(t, server.NewDatabase(t), "")
	mustWrite(t, db, "CREATE TABLE t (n INTEGER NOT NULL)")
	slow := map[string]string{
		"before the first row": "SELECT 1 FROM pg_sleep(60)",
		"between two rows":     "SELECT 1 UNION ALL SELECT 2 FROM pg_sleep(60)",
	}
	var calls sync.WaitGroup
	for _, call := range []struct {
		name string
		run  func(context.Context, database.Func) error
	}{{"View", db.View}, {"ReadTx", db.ReadTx}, {"Write", db.Write}} {
		for where, query := range slow {
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := call.run(ctx, func(ctx context.Context, q database.Querier) error { return all(ctx, q, query) })
				isUnavailable(t, call.name+", "+where, err)
			})
		}
	}
	calls.Go(func() {
		isUnavailable(t, "without a deadline", db.Write(t.Context(), func(_ context.Context, q database.Querier) error {
			return all(t.Context(), q, slow["between two rows"])
		}))
	})
	for n := range 5 {
		if err := db.Write(t.Context(), insert(n)); err != nil {
			t.Errorf("change %d beside slow ones: %v", n, err)
		}
	}
	within(t, "a call", calls.Wait)
	if n := number(t, db, "SELECT count(*) FROM t"); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

// TestChangeIsNeverThereInPart ignores an error after which SQLite has rolled back the
// transaction. All later statements must fail. Otherwise the next one would be committed alone.
func TestChangeIsNeverThereInPart(t *testing.T) {
	t.Parallel()
	db := start(t, "", t.TempDir())
	mustWrite(t, db, "CREATE TABLE t (n INTEGER NOT NULL)")
	lose := map[string]func(context.Context, database.Querier) error{
		"an interrupt": func(ctx context.Context, q database.Querier) error {
			var err error
			for alive, tries := true, 0; alive && tries < 3; tries++ { // on a busy machine, the statement may not run before the deadline
				short, stop := context.WithTimeout(ctx, time.Second)
				_, err = q.ExecContext(short, "INSERT INTO t "+endless["before the first row"])
				stop()
				_, lost := q.ExecContext(ctx, "SELECT 1")
				alive = lost == nil
			}
			return err
		},
		"a constraint": func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, "INSERT OR ROLLBACK INTO t VALUES (NULL)")
			return err
		},
	}
	for how, lose := range lose {
		for _, own := range []error{nil, errors.New("own")} {
			err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
				if _, err := q.ExecContext(ctx, "INSERT INTO t VALUES (1)"); err != nil {
					return err
				}
				if err := lose(ctx, q); err == nil {
					t.Errorf("after %s: no error", how)
				}
				if _, err := q.ExecContext(ctx, "INSERT INTO t VALUES (2)"); err == nil {
					t.Errorf("after %s: a statement ran although the transaction was lost", how)
				}
				var n int
				if err := q.QueryRowContext(ctx, "SELECT count(*) FROM t").Scan(&n); err == nil {
					t.Errorf("after %s: a query ran although the transaction was lost", how)
				}
				return own
			})
			isUnavailable(t, how+": a change that goes on", err)
		}
	}
	mustWrite(t, db, "INSERT INTO t VALUES (3)")
	if n := number(t, db, "SELECT sum(n) FROM t"); n != 3 {
		t.Errorf("the sum is %d, want 3", n)
	}
}
