package sqlstore

import (
	"context"
	"database/sql"

	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
)

// Watch returns the same store, but calls seen before each statement.
func (s *Store) Watch(seen func(text string, a []any)) *Store {
	db := watched{s.db, seen}
	return &Store{db: db, sql: s.sql, node: s.node, relaying: s.relaying, searching: s.searching, Store: sqlaudit.New(db)}
}

type watched struct {
	backing
	seen func(text string, a []any)
}

func (w watched) View(ctx context.Context, fn database.Func) error {
	return w.backing.View(ctx, w.watch(fn))
}

func (w watched) ReadTx(ctx context.Context, fn database.Func) error {
	return w.backing.ReadTx(ctx, w.watch(fn))
}

func (w watched) Write(ctx context.Context, fn database.Func) error {
	return w.backing.Write(ctx, w.watch(fn))
}

func (w watched) watch(fn database.Func) database.Func {
	return func(ctx context.Context, q database.Querier) error { return fn(ctx, watchedQuerier{q, w.seen}) }
}

type watchedQuerier struct {
	database.Querier
	seen func(text string, a []any)
}

func (w watchedQuerier) ExecContext(ctx context.Context, text string, a ...any) (sql.Result, error) {
	w.seen(text, a)
	return w.Querier.ExecContext(ctx, text, a...)
}

func (w watchedQuerier) QueryContext(ctx context.Context, text string, a ...any) (*sql.Rows, error) {
	w.seen(text, a)
	return w.Querier.QueryContext(ctx, text, a...)
}

func (w watchedQuerier) QueryRowContext(ctx context.Context, text string, a ...any) *sql.Row {
	w.seen(text, a)
	return w.Querier.QueryRowContext(ctx, text, a...)
}
