package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"
)

// Snapshot runs fn once, in a read-only transaction on the database that cfg and dataDir
// name. All its statements see the database at the same moment. Unlike a call of a [DB], it
// may take as long as it needs. Nodes may have the database open and go on writing. Snapshot
// fails if the database has no tables, or not those of this version.
//
// Meanwhile PostgreSQL keeps rows that are removed, and SQLite's write-ahead log grows.
func Snapshot(ctx context.Context, cfg Config, dataDir string, fn Func) error {
	report, err := Check(ctx, cfg, dataDir)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", report.Where, err)
	case report.New:
		return fmt.Errorf("%s: there is no database of Moim: check database.url and data.dir", report.Where)
	case report.Pending > 0:
		return fmt.Errorf("%s: the database is of an earlier version: run moim migrate up first", report.Where)
	}
	at, err := cfg.parse(dataDir)
	if err != nil {
		return err
	}
	pool, isolation := (*sql.DB)(nil), sql.LevelDefault
	if at.postgres != nil {
		pool, isolation = stdlib.OpenDB(at.through(report.Pooled)), sql.LevelRepeatableRead
	} else if pool, err = openFile(at.file, "ro", "query_only(1)"); err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{Isolation: isolation, ReadOnly: true})
	if err != nil {
		return Translate(err)
	}
	defer func() { _ = tx.Rollback() }() // there is nothing to commit
	if at.postgres != nil {
		if _, err := tx.ExecContext(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return Translate(err)
		}
	}
	err = fn(ctx, tx)
	if errors.Is(err, context.Canceled) {
		return err
	}
	return Translate(err)
}
