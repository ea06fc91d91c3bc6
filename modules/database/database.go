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
// BOOLEAN.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
