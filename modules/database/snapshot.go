package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"
)

// Snapshot runs fn once, in a read-only transaction on the database of cfg and dataDir. All
// its statements see the database at the same moment. Unlike a call of a [DB], it has no
// time limit. Nodes may use the database meanwhile. Snapshot fails if the database does not
// have the tables of this version.
//
// While fn runs, PostgreSQL keeps deleted rows, and SQLite's write-ahead log grows.
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
	defer func() { _ = tx.Rollback() }() // nothing to commit
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
