package database

import (
	"context"
	"database/sql"
)

// limited runs statements for no longer than a call's context allows, whatever
// context they are given: a function may pass one that it had before.
type limited struct {
	q   Querier
	ctx context.Context //nolint:containedctx // lives as long as the call
}

func (l limited) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return l.q.ExecContext(l.limit(ctx), query, args...)
}

func (l limited) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return l.q.QueryContext(l.limit(ctx), query, args...)
}

func (l limited) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return l.q.QueryRowContext(l.limit(ctx), query, args...)
}

// limit returns the call's context, or the given one if that ends earlier.
func (l limited) limit(ctx context.Context) context.Context {
	end, _ := l.ctx.Deadline()
	if own, ok := ctx.Deadline(); ok && own.Before(end) || ctx.Err() != nil {
		return ctx
	}
	return l.ctx
}
