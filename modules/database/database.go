// Package database opens SQLite or PostgreSQL, migrates it, and runs
// transactions. It knows no tables of its own but the deployment's identity.
package database

import (
	"context"
	"database/sql"
)

// Querier runs statements: the pool, or one transaction.
//
// The same statements serve both dialects: parameters are $1, $2 …; ids, JSON
// and names are TEXT, instants BIGINT microseconds since 1970 UTC, flags
// BOOLEAN. Statements are prepared once and kept by their text, so texts come
// from a small fixed set.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Dialect says which database answers, and how the few statements differ that
// cannot be the same.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Now is the expression for the database's clock in microseconds since 1970
// UTC, as it is when the expression is evaluated. To compare a column with it,
// write (SELECT <Now>): then an index on the column is of use.
func (d Dialect) Now() string {
	if d == Postgres {
		return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000"
}

// ForUpdate is the clause that locks the rows a SELECT returns until the
// transaction ends. SQLite needs none: it has one writer.
func (d Dialect) ForUpdate() string {
	if d == Postgres {
		return " FOR NO KEY UPDATE"
	}
	return ""
}
