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

// errReadOnly is the cause of fault.ErrUnavailable while PostgreSQL accepts no writes.
var errReadOnly = errors.New("the server is read-only: it may be a standby. Give the URL of the primary")

// readOnlySetting is "on" where a transaction cannot write.
const readOnlySetting = "current_setting('transaction_read_only')"

// Translate returns fault.ErrUnavailable, with err as its cause, if err means
// that the database does not answer. It returns other errors unchanged. The
// methods of [DB] return translated errors.
func Translate(err error) error {
	if err == nil || is[*fault.Error](err) || !unavailable(err) {
		return err
	}
	return fault.ErrUnavailable.WithCause(err)
}

// is reports whether the chain of err contains an error of type T.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func unavailable(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteUnavailable(e.Code())
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresUnavailable(e.Code)
	}
	return errors.Is(err, context.DeadlineExceeded) || disconnected(err) ||
		errors.Is(err, errClosed) || errors.Is(err, errReadOnly) || errors.Is(err, sql.ErrTxDone)
}

// sqliteUnavailable reports whether a result code means a temporary problem with the file
// or the disk. A damaged file is not temporary.
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
		"28", // authentication failed
		"40", // a deadlock or a conflict, also after the retries
		"53", // out of connections, memory or disk
		"57", // shutting down, starting, or cancelled by a timeout
		"58": // an I/O error of the server
		return true
	}
	switch code {
	case "25006", // read-only: a standby or a former primary
		"25P03", // a transaction was idle for too long
		"25P04", // a transaction took too long
		"3D000", // no such database
		"55P03": // a lock was not available
		return true
	}
	return false
}

// conflict reports whether err is a serialization failure or a deadlock. PostgreSQL then
// expects the transaction to be run again.
func conflict(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

// lost reports whether an open connection ended or became useless, so that a retry on
// another connection may succeed. It is false if connecting failed.
func lost(err error) bool {
	if is[*pgconn.ConnectError](err) {
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "57P01", "57P02", "57P05", "25P03", "25P04", "25006", "08P01": // the last by PgBouncer
			return true
		}
		return false
	}
	if errors.Is(err, errReadOnly) {
		return true
	}
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) && disconnected(err)
}

func disconnected(err error) bool {
	text := err.Error()
	return is[*pgconn.ConnectError](err) || is[net.Error](err) || is[syscall.Errno](err) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		// database/sql and pgx do not export these errors.
		strings.Contains(text, "sql: database is closed") || strings.Contains(text, "conn closed")
}
