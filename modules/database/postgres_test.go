package database_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
)

// quickly is the longest time of a call while the database is down. It is shorter than the
// deadline of a call, 5 s, so no call waited for its deadline.
const quickly = 4 * time.Second

// noWait fails the test if a call waited for its own deadline, however slow the machine is.
func noWait(t *testing.T, what string, began time.Time, err error) {
	t.Helper()
	isUnavailable(t, what, err)
	if took := time.Since(began); took > quickly && errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s took %s: %v", what, took, err)
	}
}

func TestPostgresGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_connections = 12")
	db := start(t, server.NewDatabase(t), "")
	mustWrite(t, db, "CREATE TABLE t (n INTEGER)")
	withoutConnections(t, server, db)
	for _, end := range []func(){server.Kill, server.Stop} {
		end()
		for name, call := range map[string]func() error{
			"write": func() error { return write(t.Context(), db, "INSERT INTO t VALUES (1)") },
			"ping":  func() error { return db.Ping(t.Context()) },
			"read": func() error {
				return db.ReadTx(t.Context(), func(ctx context.Context, q database.Querier) error {
					_, err := q.ExecContext(ctx, "SELECT 1")
					return err
				})
			},
		} {
			began := time.Now()
			noWait(t, name, began, call())
		}
		server.Restart()
		mustWrite(t, db, "INSERT INTO t VALUES (1)") // after this, no call meets dead connections
	}
	if n := number(t, db, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}

	// Start waits until the server is up.
	server.Stop()
	late := open(t, server.URL("postgres"), "")
	begun := make(chan error, 1)
	go func() { begun <- late.Start(t.Context()) }()
	server.Restart()
	if err := <-begun; err != nil {
		t.Errorf("start before the server: %v", err)
	}
	stop(t, late)
}

// withoutConnections uses up all connections of the server.
func withoutConnections(t *testing.T, server *pgtest.Server, db *database.DB) {
	t.Helper()
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	var taken []*pgx.Conn
	defer func() {
		for _, c := range taken {
			_ = c.Close(context.Background())
		}
	}()
	for {
		c, err := pgx.Connect(t.Context(), server.URL("postgres"))
		if err != nil {
			break
		}
		taken = append(taken, c)
	}
	// The node's open connection keeps working. It cannot open a second one.
	began := time.Now()
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		rows, err := q.QueryContext(ctx, "SELECT 1")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		return errors.Join(rows.Err(), db.Ping(ctx))
	})
	noWait(t, "a second connection", began, err)
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("the connection there is: %v", err)
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_connections = 100", "deadlock_timeout = 50ms")
	for name, test := range map[string]func(*testing.T, *pgtest.Server){
		"one moment":         func(t *testing.T, s *pgtest.Server) { readsOneMoment(t, start(t, s.NewDatabase(t), "")) },
		"deadlock":           testDeadlock,
		"killed in a change": testTerminated,
		"killed in a commit": testTerminatedCommit,
		"standby":            testReadOnly,
		"pool is bounded":    testPool,
		"frozen link":        testFrozen,
		"session":            testSession,
		"pooler":             testPooler,
		"started together":   testTogether,
		"slow statements":    testSlowPostgres,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
	t.Run("lifecycle", func(t *testing.T) {
		t.Parallel()
		lifecycle(t, func(t *testing.T) (string, string) { t.Helper(); return server.NewDatabase(t), "" })
	})
}

// testDeadlock makes two changes lock two rows in opposite order. The one that PostgreSQL aborts
// must run again.
func testDeadlock(t *testing.T, server *pgtest.Server) {
	db := start(t, server.NewDatabase(t), "")
	mustWrite(t, db, "CREATE TABLE t (id INTEGER, n INTEGER)")
	mustWrite(t, db, "INSERT INTO t VALUES (1, 0), (2, 0)")
	var (
		all  sync.WaitGroup
		both sync.WaitGroup
		runs atomic.Int32
	)
	both.Add(2)
	for _, order := range [][]int{{1, 2}, {2, 1}} {
		meet := sync.OnceFunc(func() { both.Done(); both.Wait() })
		all.Go(func() {
			err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
				runs.Add(1)
				for _, id := range order {
					if _, err := q.ExecContext(ctx, "UPDATE t SET n = n + 1 WHERE id = $1", id); err != nil {
						return err
					}
					meet()
				}
				return nil
			})
			if err != nil {
				t.Errorf("write: %v", err)
			}
		})
	}
	all.Wait()
	if n := runs.Load(); n != 3 {
		t.Errorf("%d runs, want 3", n)
	}
	if n := number(t, db, "SELECT min(n) * 10 + max(n) FROM t"); n != 22 {
		t.Errorf("the rows were changed %d times, want 2 and 2", n)
	}
}

const suicide = "SELECT pg_terminate_backend(pg_backend_pid())"

// testTerminated closes the connection during a change, which must run again.
func testTerminated(t *testing.T, server *pgtest.Server) {
	db := start(t, server.NewDatabase(t), "")
	mustWrite(t, db, "CREATE TABLE t (n INTEGER)")
	runs := 0
	err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
		if _, err := q.ExecContext(ctx, "INSERT INTO t VALUES (1)"); err != nil {
			return err
		}
		if runs++; runs == 1 {
			_, err := q.ExecContext(ctx, suicide)
			return err
		}
		return nil
	})
	if n := number(t, db, "SELECT count(*) FROM t"); err != nil || n != 1 || runs != 2 {
		t.Errorf("%v after %d runs, %d rows; want success after 2, 1 row", err, runs, n)
	}
}

// testTerminatedCommit closes the connection during the commit. Its result is unknown, so the
// change must not run again.
func testTerminatedCommit(t *testing.T, server *pgtest.Server) {
	db := start(t, server.NewDatabase(t), "")
	for _, statement := range []string{
		"CREATE TABLE t (n INTEGER)",
		`CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`,
		"CREATE CONSTRAINT TRIGGER die AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
	} {
		mustWrite(t, db, statement)
	}
	runs := 0
	err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
		runs++
		_, err := q.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	isUnavailable(t, "the commit", err)
	if runs != 1 {
		t.Errorf("it ran %d times, want once", runs)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// testReadOnly simulates a failover that leaves the pool on the old primary. The connections
// answer and refuse writes.
func testReadOnly(t *testing.T, server *pgtest.Server) {
	db := start(t, server.NewDatabase(t), "")
	mustWrite(t, db, "CREATE TABLE t (n INTEGER)")
	var name string
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, "SELECT current_database()").Scan(&name)
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "postgres", "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	server.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	isUnavailable(t, "a write", write(t.Context(), db, "INSERT INTO t VALUES (1)"))
	if n := number(t, db, "SELECT count(*) FROM t"); n != 0 {
		t.Errorf("%d rows, want 0", n)
	}
	isUnavailable(t, "a ping", db.Ping(t.Context()))
	contains(t, db.Ping(t.Context()), "read-only")
	refused := open(t, server.URL(name), "").Start(t.Context())
	contains(t, refused, "open the database: the server is read-only: it may be a standby")
	// Only a new connection sees this change, so the write must not keep its old one.
	server.Exec(t, "postgres", "ALTER DATABASE "+name+" SET default_transaction_read_only = off")
	mustWrite(t, db, "INSERT INTO t VALUES (1)")
}

func testPool(t *testing.T, server *pgtest.Server) {
	db := start(t, server.NewDatabase(t)+"&pool_max_conns=2", "")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	hold := func(inner func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			return db.Write(ctx, func(ctx context.Context, _ database.Querier) error { return inner(ctx) })
		}
	}
	isUnavailable(t, "a third connection", hold(hold(db.Ping))(ctx))
	if err := hold(db.Ping)(t.Context()); err != nil {
		t.Errorf("two connections: %v", err)
	}
}

func testFrozen(t *testing.T, server *pgtest.Server) {
	proxy := proxytest.Start(t, server.Addr())
	url := server.NewDatabase(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := start(t, server.URLVia(proxy.Addr(), config.Database), "")
	proxy.Freeze()
	took := time.Hour
	for tries := 0; took > quickly && tries < 3; tries++ { // a busy machine may spoil some
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		isUnavailable(t, "a write into a frozen link", write(ctx, db, "SELECT 1"))
		took = time.Since(began)
		cancel()
	}
	if took > quickly {
		t.Errorf("it took %s", took)
	}
	proxy.Heal()
	waittest.Until(t, "it answers again", func() bool { return db.Ping(t.Context()) == nil })
}

// testPooler checks transactions through PgBouncer. Each must have the settings that a connection
// usually has, and must not leave any for the next client.
func testPooler(t *testing.T, server *pgtest.Server) {
	config, err := pgx.ParseConfig(server.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	url := server.URLVia(server.Bouncer(t), config.Database)
	first, second := start(t, url, ""), start(t, url, "")
	setting := func(run func(context.Context, database.Func) error) (value string) {
		if err := run(t.Context(), func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, "SELECT current_setting($1)", "statement_timeout").Scan(&value)
		}); err != nil {
			t.Errorf("read a setting: %v", err)
		}
		return value
	}
	var all sync.WaitGroup
	for range 8 { // more than the connections of PgBouncer
		all.Go(func() {
			for range 10 {
				for _, db := range []*database.DB{first, second} {
					if got := []string{setting(db.Write), setting(db.ReadTx), setting(db.View)}; !slices.Equal(got, []string{"5s", "5s", "0"}) {
						t.Errorf("statement_timeout is %q in a change, a read and a single statement", got)
					}
				}
			}
		})
	}
	all.Wait()
}

func testSession(t *testing.T, server *pgtest.Server) {
	url := server.NewDatabase(t)
	db := start(t, url+"&options=-csynchronous_commit%3Doff", "")
	for setting, want := range map[string]string{
		"synchronous_commit":                  "on",
		"statement_timeout":                   "5s",
		"idle_in_transaction_session_timeout": "5s",
	} {
		var got string
		err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, "SELECT current_setting($1)", setting).Scan(&got)
		})
		if err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", setting, got, err, want)
		}
	}
}
