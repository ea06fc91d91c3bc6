package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"modernc.org/libc"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openPool returns a pool of SQLite connections, none of them opened yet, whose
// statements end with their context.
//
// The driver interrupts a statement only until its first row. A query that
// computes for long between two rows goes on, whatever its context says. The
// types below add that: they interrupt [driver.Rows.Next].
func openPool(dsn string) (*sql.DB, error) {
	inner, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{inner}), nil
}

type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	open, ok := inner.(innerConn)
	db, err := handle(inner)
	if !ok || err != nil {
		_ = inner.Close()
		return nil, errors.Join(fmt.Errorf("the SQLite driver's connection is a %T of another version", inner), err)
	}
	return &conn{innerConn: open, db: db, tls: libc.NewTLS()}, nil
}

// handle returns the sqlite3* of the driver's connection. The driver has no
// call that interrupts a connection, and SQLite's own needs the handle.
func handle(inner driver.Conn) (uintptr, error) {
	v := reflect.Indirect(reflect.ValueOf(inner))
	if v.Kind() != reflect.Struct {
		return 0, errors.New("it is not a struct")
	}
	db := v.FieldByName("db")
	if !db.IsValid() || db.Kind() != reflect.Uintptr || db.Uint() == 0 {
		return 0, errors.New("it has no handle")
	}
	return uintptr(db.Uint()), nil
}

// innerConn is what database/sql uses of the driver's connection.
type innerConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// conn is a connection. SQLite rolls back a transaction by itself after some
// errors, such as an interrupt. The statements that follow would be committed
// one by one; conn refuses them until that transaction ends.
type conn struct {
	innerConn
	db   uintptr
	tls  *libc.TLS
	lost bool // the transaction was rolled back by SQLite
}

var errLost = errors.New("SQLite has rolled the transaction back")

// rollback ends a transaction, also one that SQLite has rolled back.
const rollback = "ROLLBACK"

// guard runs a statement.
func (c *conn) guard(query string, run func() error) error {
	if c.lost && query != rollback {
		return errLost
	}
	within := c.inTransaction()
	err := run()
	c.lost = err != nil && within && !c.inTransaction()
	return err
}

func (c *conn) inTransaction() bool { return sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) == 0 }

// interrupt ends the statement that runs on the connection, if one does. It
// may be called while the connection is in use, but not while it is closed.
func (c *conn) interrupt() {
	tls := libc.NewTLS() // the connection's own is in use
	defer tls.Close()
	sqlite3.Xsqlite3_interrupt(tls, c.db)
}

func (c *conn) ResetSession(ctx context.Context) error {
	c.lost = false
	return c.innerConn.ResetSession(ctx)
}

func (c *conn) Close() error {
	defer c.tls.Close()
	return c.innerConn.Close()
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	err = c.guard(query, func() error {
		result, err = c.innerConn.ExecContext(ctx, query, args)
		return err
	})
	return result, err
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (found driver.Rows, err error) {
	err = c.guard(query, func() error {
		found, err = c.innerConn.QueryContext(ctx, query, args)
		return err
	})
	return c.watch(ctx, found, err)
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner, err := c.innerConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	prepared, ok := inner.(innerStmt)
	if !ok {
		_ = inner.Close()
		return nil, fmt.Errorf("the SQLite driver's statement is a %T of another version", inner)
	}
	return &stmt{innerStmt: prepared, conn: c, query: query}, nil
}

// innerStmt is what database/sql uses of the driver's statement.
type innerStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type stmt struct {
	innerStmt
	conn  *conn
	query string
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	err = s.conn.guard(s.query, func() error {
		result, err = s.innerStmt.ExecContext(ctx, args)
		return err
	})
	return result, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (found driver.Rows, err error) {
	err = s.conn.guard(s.query, func() error {
		found, err = s.innerStmt.QueryContext(ctx, args)
		return err
	})
	return s.conn.watch(ctx, found, err)
}

// watch returns rows whose Next is interrupted when ctx ends.
func (c *conn) watch(ctx context.Context, inner driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	r := &rows{Rows: inner, ctx: ctx, conn: c, stop: func() bool { return true }}
	if ctx.Done() != nil {
		r.stop = context.AfterFunc(ctx, r.interrupt)
	}
	return r, nil
}

// rows are the rows of a query whose context may end.
type rows struct {
	driver.Rows
	ctx  context.Context //nolint:containedctx // lives as long as the rows
	conn *conn
	stop func() bool // stop watching ctx

	mu      sync.Mutex
	running bool // Next is: only then may the connection be interrupted
	ended   bool // ctx has
}

func (r *rows) Next(dest []driver.Value) error {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return r.ctx.Err()
	}
	r.running = true
	r.mu.Unlock()
	err := r.conn.guard("", func() error { return r.Rows.Next(dest) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
	if err != nil && r.ended {
		return r.ctx.Err()
	}
	return err
}

func (r *rows) Close() error {
	r.stop()
	return r.Rows.Close()
}

// interrupt makes Next return, if it runs. The interrupt cannot get lost: a
// statement that has answered a row is under way until its rows are closed.
func (r *rows) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if !r.running {
		return
	}
	r.conn.interrupt()
}
