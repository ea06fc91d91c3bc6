package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"modernc.org/sqlite"
)

const (
	// runFunction is an SQL function that calls a Go function: see
	// [conn.interruptible].
	runFunction = "moim_run"
	runQuery    = "SELECT " + runFunction + "($1)"
	// maxStmts is the maximum number of prepared statements that a connection keeps.
	maxStmts = 256
)

// openPool returns a pool of SQLite connections on which a statement ends when its context
// ends. It opens no connection yet.
//
// modernc.org/sqlite alone interrupts a query only before its first row, not while it
// computes a later row.
func openPool(dsn string) (*sql.DB, error) {
	c := &connector{dsn: dsn, conns: make(map[int64]*conn)}
	if err := c.driver.RegisterScalarFunction(runFunction, 1, c.call); err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

// connector opens the connections of one pool.
type connector struct {
	dsn    string
	driver sqlite.Driver

	mu    sync.Mutex
	last  int64
	conns map[int64]*conn // open connections, by id
}

func (c *connector) Driver() driver.Driver { return &c.driver }

func (c *connector) Connect(context.Context) (driver.Conn, error) {
	opened, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	inner, ok := opened.(innerConn)
	if !ok {
		_ = opened.Close()
		return nil, fmt.Errorf("the SQLite driver's connection has an unknown type %T", opened)
	}
	added := &conn{innerConn: inner, connector: c, stmts: make(map[string]innerStmt)}
	inner.RegisterRollbackHook(func() { added.rolledBack = true })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	added.id = c.last
	c.conns[added.id] = added
	return added, nil
}

// call implements runFunction. Its argument is the id of the connection.
func (c *connector) call(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	id, _ := args[0].(int64)
	c.mu.Lock()
	found := c.conns[id]
	c.mu.Unlock()
	if found == nil || found.run == nil {
		return nil, errors.New(runFunction + " is for internal use")
	}
	run := found.run
	found.run = nil
	run()
	return nil, nil
}

// innerConn has the methods of the driver's connection that this package uses.
type innerConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	RegisterRollbackHook(fn sqlite.RollbackHookFn)
}

// conn is a connection that keeps prepared statements.
//
// After some errors, such as an interrupt, SQLite rolls back the transaction on its own. It
// would then commit each later statement separately. So conn refuses later statements until
// the caller ends the transaction.
type conn struct {
	innerConn
	connector  *connector
	id         int64
	stmts      map[string]innerStmt // by text; without those in use
	run        func()               // the function that runFunction calls next
	rolledBack bool                 // SQLite rolled back during the statement
	lost       bool                 // SQLite has rolled back the transaction
}

// interruptible calls run. When ctx ends, it interrupts run's statements on this
// connection. It does not call run if ctx has already ended.
//
// It calls run from inside a statement of the connection, because the driver watches ctx
// while that statement runs. SQLite remembers an interrupt until no statement runs. So an
// interrupt between two statements of run still stops the second:
// https://sqlite.org/c3ref/interrupt.html.
func (c *conn) interruptible(ctx context.Context, run func() error) (err error) {
	s, err := c.take(ctx, runQuery)
	if err != nil {
		return err
	}
	defer c.give(runQuery, s)
	called := false
	c.run = func() {
		called = true
		err = run()
	}
	if _, failed := s.ExecContext(ctx, []driver.NamedValue{{Ordinal: 1, Value: c.id}}); !called {
		return failed
	}
	return err // if the statement failed, it was interrupted after run
}

// rollback ends a transaction, even if SQLite has rolled it back already.
const rollback = "ROLLBACK"

var errLost = errors.New("SQLite has rolled back the transaction")

// guard runs a statement unless the transaction is lost.
func (c *conn) guard(query string, statement func() error) error {
	if c.lost && query != rollback {
		return errLost
	}
	c.rolledBack = false
	err := statement()
	c.lost = err != nil && c.rolledBack
	return err
}

func (c *conn) ResetSession(ctx context.Context) error {
	c.lost = false
	return c.innerConn.ResetSession(ctx)
}

func (c *conn) Close() error {
	c.connector.mu.Lock()
	delete(c.connector.conns, c.id)
	c.connector.mu.Unlock()
	for _, s := range c.stmts {
		_ = s.Close()
	}
	return c.innerConn.Close()
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	defer c.give(query, s)
	err = c.guard(query, func() error {
		result, err = s.ExecContext(ctx, args)
		return err
	})
	return result, err
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r := &rows{ctx: ctx, conn: c, query: query, stmt: s}
	start := func(ctx context.Context) error {
		return c.guard(query, func() error {
			r.Rows, err = s.QueryContext(ctx, args)
			return err
		})
	}
	if ctx.Done() == nil {
		err = start(ctx)
	} else {
		err = r.watched(func() error {
			if err := start(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			r.readAhead()
			return nil
		})
	}
	if err != nil {
		c.give(query, s)
		return nil, err
	}
	return r, nil
}

// innerStmt has the methods of the driver's statement that this package uses.
type innerStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// take returns the prepared statement for query. The caller must return it after use,
// because a statement serves one query at a time.
func (c *conn) take(ctx context.Context, query string) (innerStmt, error) {
	if s, ok := c.stmts[query]; ok {
		delete(c.stmts, query)
		return s, nil
	}
	prepared, err := c.innerConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(innerStmt)
	if !ok {
		_ = prepared.Close()
		return nil, fmt.Errorf("the SQLite driver's statement has an unknown type %T", prepared)
	}
	return s, nil
}

func (c *conn) give(query string, s innerStmt) {
	if _, ok := c.stmts[query]; ok || len(c.stmts) >= maxStmts {
		_ = s.Close()
		return
	}
	c.stmts[query] = s
}
