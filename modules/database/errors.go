package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/moim-live/moim/modules/fault"
)

// errClosed is the cause of fault.ErrUnavailable before Start and after Stop.
var errClosed = errors.New("the database is not open")

// Translate turns an error that means "the database does not answer" into
// fault.ErrUnavailable with err as its cause. Every other error is returned as
// it is. The methods of [DB] that take a function translate by themselves.
func Translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if unavailable(err) {
		return fault.ErrUnavailable.WithCause(err)
	}
	return err
}

func unavailable(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteUnavailable(e.Code())
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresUnavailable(e.Code)
	}
	return errors.Is(err, context.DeadlineExceeded) || disconnected(err) ||
		errors.Is(err, errClosed) || errors.Is(err, sql.ErrTxDone)
}

// sqliteUnavailable tells from a result code whether the file or its disk is
// at fault. A damaged file is not among them: trying again does not help.
func sqliteUnavailable(code int) bool {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

func postgresUnavailable(code string) bool {
	switch code[:min(2, len(code))] {
	case "08", // connection exception
		"28", // authentication: only when a connection is made
		"40", // still a deadlock or a conflict after every retry
		"53", // out of connections, memory or disk
		"57", // shut down, starting, cancelled by a timeout
		"58": // input or output of the server
		return true
	}
	switch code {
	case "25006", // read-only: a standby, or an old primary
		"25P03", // idle in a transaction for too long
		"25P04", // a transaction for too long
		"3D000", // no such database
		"55P03": // a lock was not to be had
		return true
	}
	return false
}

// conflict reports an error after which PostgreSQL wants the transaction to be
// run again.
func conflict(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

// lost reports that an open connection is gone or of no use, so that another
// one may do. That no connection could be made is not among them.
func lost(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "57P01", "57P02", "57P05", "25P03", "25P04", "25006":
			return true
		}
		return false
	}
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) && disconnected(err)
}

func disconnected(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return true
	}
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	// Neither library exports these.
	text := err.Error()
	return strings.Contains(text, "sql: database is closed") || strings.Contains(text, "conn closed")
}
