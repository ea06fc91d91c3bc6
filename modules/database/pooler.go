package database

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"

	"github.com/moim-live/moim/internal/tasks"
)

// through returns the configuration of connections to PostgreSQL. A pooler such as
// PgBouncer may run each transaction on another connection of the server, where a prepared
// statement does not exist. So with a pooler, pgx keeps only the types of a statement,
// unless the URL sets default_query_exec_mode.
func (l location) through(pooler bool) pgx.ConnConfig {
	config := *l.postgres.ConnConfig
	if pooler && !l.modeGiven {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return config
}

// examineServer reports whether a pooler is between this process and the server. A pooler
// tells its clients another process id than that of the server. It returns an error if the
// server accepts no writes.
func examineServer(ctx context.Context, pool *sql.DB) (pooled bool, err error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	var pid uint32
	var readOnly string
	if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid(), "+readOnlySetting).Scan(&pid, &readOnly); err != nil {
		return false, err
	}
	if readOnly == "on" {
		return false, errReadOnly
	}
	err = conn.Raw(func(c any) error {
		opened, ok := c.(*stdlib.Conn)
		pooled = ok && opened.Conn().PgConn().PID() != pid
		return nil
	})
	return pooled, err
}

const (
	// migrationLock is the key of the PostgreSQL advisory lock. Only the node
	// that holds it migrates.
	migrationLock = 0x6d6f696d // "moim"

	lockEvery = time.Second
	maxLocks  = 300 // attempts
)

// migrating implements goose's locker. It uses a lock of a transaction, because a pooler
// keeps no session.
type migrating struct{ tx *sql.Tx }

var _ lock.Locker = (*migrating)(nil)

// Lock implements [lock.Locker].
func (m *migrating) Lock(ctx context.Context, db *sql.DB) error {
	for range maxLocks {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		var locked bool
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(migrationLock)).Scan(&locked)
		if err == nil && locked {
			// The transaction is idle while the migrations run. A statement without
			// parameters also ends the snapshot of the previous statement, for which CREATE
			// INDEX CONCURRENTLY would wait.
			_, err = tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0")
		}
		if err == nil && locked {
			m.tx = tx
			return nil
		}
		_ = tx.Rollback()
		if err != nil {
			return err
		}
		if !tasks.Pause(ctx, lockEvery) {
			return ctx.Err()
		}
	}
	return errors.New("another node has been migrating the database for too long: is it still running?")
}

// Unlock implements [lock.Locker].
func (m *migrating) Unlock(context.Context, *sql.DB) error {
	if err := m.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}
