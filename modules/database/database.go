// Package database opens SQLite or PostgreSQL, migrates the schema, and runs transactions.
// Create a [DB] with [Open]. The package itself reads and writes only the table deployment,
// which holds the identity of the deployment.
package database

import (
	"context"
	"database/sql"
)

// Querier runs statements, on the pool or in one transaction.
//
// The same statements serve both dialects. Parameters are $1, $2 and so on.
// Ids, JSON and names are TEXT. Times are BIGINT, in microseconds since 1970
// UTC. Flags are BOOLEAN. Each connection prepares a statement once and keeps
// it by its text, so use a small fixed set of texts.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Dialect is the kind of database. Its methods return the few SQL expressions
// that differ between the two.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Now returns the SQL expression for the database's clock, in microseconds
// since 1970 UTC. The clock advances within a transaction. To compare an
// indexed column with it, write (SELECT <Now>), so that the index is used.
func (d Dialect) Now() string {
	if d == Postgres {
		return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000"
}

// ForUpdate returns the clause that locks the rows of the table with this alias in a SELECT
// until the transaction ends. It is empty on SQLite, which has one writer.
func (d Dialect) ForUpdate(alias string) string {
	if d == Postgres {
		return " FOR NO KEY UPDATE OF " + alias
	}
	return ""
}
