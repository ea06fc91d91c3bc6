package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// statementTimeout and idleTimeout make the server end the transactions of a
	// node that froze, so that no row stays locked for longer.
	statementTimeout = 5 * time.Second
	idleTimeout      = 5 * time.Second

	connLifetime = 30 * time.Minute
	connIdleTime = 5 * time.Minute

	// startTimeout is how long Start waits for a server that is still starting.
	startTimeout = 10 * time.Second
	startEvery   = 100 * time.Millisecond

	// maxReconnects is how many times a call retries after a lost connection.
	maxReconnects = 2
	minBackoff    = 2 * time.Millisecond
	maxBackoff    = 200 * time.Millisecond
)

// sessionSettings configures a new connection. It turns asynchronous commits
// off, because a write must be on disk before it is acknowledged.
const sessionSettings = `SELECT set_config('statement_timeout', $1, false),
	set_config('idle_in_transaction_session_timeout', $2, false),
	set_config('synchronous_commit', CASE current_setting('synchronous_commit')
		WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)`

// postgresDB is a pool of connections to a PostgreSQL server. pgx prepares and
// keeps the statements.
type postgresDB struct{ conns *sql.DB }

var _ backend = (*postgresDB)(nil)

func openPostgres(ctx context.Context, at location, log *slog.Logger) (*session, error) {
	config := *at.postgres.ConnConfig
	migrating := stdlib.OpenDB(config) // without timeouts, because a migration may take long
	migrating.SetMaxOpenConns(2)
	closeAll := func() { _ = migrating.Close() }
	if err := awaitServer(ctx, migrating, at, log); err != nil {
		closeAll()
		return nil, err
	}
	migrator, err := newMigrator(Postgres, migrating, log)
	if err != nil {
		closeAll()
		return nil, err
	}
	serve := func(ctx context.Context) (backend, error) {
		conns := stdlib.OpenDB(config, stdlib.OptionAfterConnect(configure))
		conns.SetMaxOpenConns(at.maxConns)
		conns.SetMaxIdleConns(at.maxConns)
		conns.SetConnMaxLifetime(connLifetime)
		conns.SetConnMaxIdleTime(connIdleTime)
		if err := conns.PingContext(ctx); err != nil {
			_ = conns.Close()
			return nil, err
		}
		closeAll()
		return &postgresDB{conns}, nil
	}
	return &session{migrator: migrator, serve: serve, close: closeAll}, nil
}

// awaitServer returns when the server answers. It returns an error at once if
// the server is not just starting.
func awaitServer(ctx context.Context, pool *sql.DB, at location, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for logged := false; ; logged = true {
		err := pool.PingContext(ctx)
		if err == nil || !starting(err) {
			return err
		}
		if !logged {
			log.WarnContext(ctx, "database: waiting for PostgreSQL", "at", at.String(), "err", err)
		}
		if !tasks.Pause(ctx, startEvery) {
			return err
		}
	}
}

// starting reports whether err may come from a server that is still starting.
func starting(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "57P03" // cannot_connect_now
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

func configure(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, sessionSettings, milliseconds(statementTimeout), milliseconds(idleTimeout))
	if err != nil {
		_ = conn.Close(ctx) // pgx does not close it
		return fmt.Errorf("configure a connection: %w", err)
	}
	return nil
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

func (p *postgresDB) view(ctx context.Context, fn Func) error {
	return retry(ctx, func() (bool, error) {
		err := fn(ctx, p.conns)
		return err != nil && lost(err), err
	})
}

func (p *postgresDB) readTx(ctx context.Context, fn Func) error {
	options := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	return retry(ctx, func() (bool, error) {
		tx, err := p.conns.BeginTx(ctx, options)
		if err != nil {
			return lost(err), err
		}
		err = fn(ctx, tx)
		_ = tx.Rollback() // there is nothing to commit
		return err != nil && lost(err), err
	})
}

func (p *postgresDB) write(ctx context.Context, fn Func) error {
	return retry(ctx, func() (bool, error) { return p.try(ctx, fn) })
}

// try runs fn in one transaction. It reports whether fn may run again: the
// commit was not sent, or the server refused it.
func (p *postgresDB) try(ctx context.Context, fn Func) (bool, error) {
	conn, err := p.conns.Conn(ctx)
	if err != nil {
		return lost(err), err
	}
	defer func() { _ = conn.Close() }()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return lost(err), err
	}
	defer func() { _ = tx.Rollback() }() // if fn panics
	if err := fn(ctx, tx); err != nil {
		_ = tx.Rollback()
		if lost(err) {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // remove it from the pool
			return true, err
		}
		return conflict(err), err
	}
	if err := tx.Commit(); err != nil {
		return conflict(err), fmt.Errorf("commit: %w", err)
	}
	return false, nil
}

// retry calls try until it succeeds, reports that a retry is not possible, or
// ctx ends. After lost connections it retries only a few times.
func retry(ctx context.Context, try func() (again bool, err error)) error {
	reconnects := 0
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		again, err := try()
		if err == nil || !again || ctx.Err() != nil {
			return err
		}
		if !conflict(err) {
			if reconnects++; reconnects > maxReconnects {
				return err
			}
		}
		if !tasks.Pause(ctx, backoff/2+rand.N(backoff)) {
			return err
		}
	}
}

func (p *postgresDB) close(context.Context) { _ = p.conns.Close() }
