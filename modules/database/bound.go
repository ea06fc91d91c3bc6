package database

import (
	"context"
	"database/sql"
)

// bound replaces the context of each statement.
type bound struct {
	q       Querier
	context func(given context.Context) context.Context
}

func (b bound) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return b.q.ExecContext(b.context(ctx), query, args...)
}

func (b bound) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return b.q.QueryContext(b.context(ctx), query, args...)
}

func (b bound) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return b.q.QueryRowContext(b.context(ctx), query, args...)
}

// earlier returns the context that ends first: that of the call, which has a deadline, or
// the one that a [Func] passed to a statement.
func earlier(given, call context.Context) context.Context {
	end, _ := call.Deadline()
	if own, ok := given.Deadline(); ok && own.Before(end) || given.Err() != nil {
		return given
	}
	return call
}
