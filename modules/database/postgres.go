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
	// statementTimeout and idleTimeout make the server end the transactions of a suspended
	// node, so that its row locks do not last longer.
	statementTimeout = "5s"
	idleTimeout      = "5s"

	connLifetime = 30 * time.Minute
	connIdleTime = 5 * time.Minute

	// startTimeout is how long Start waits for a server that is still starting.
	startTimeout = 10 * time.Second
	startEvery   = 100 * time.Millisecond

	// maxReconnects is the maximum number of retries of a call after lost connections.
	maxReconnects = 2
	minBackoff    = 2 * time.Millisecond
	maxBackoff    = 200 * time.Millisecond
)

// settings configures a new connection, or a transaction if $3 is true. It turns
// asynchronous commits off, because a write must be on disk before it is acknowledged.
const settings = `SELECT set_config('statement_timeout', $1, $3),
	set_config('idle_in_transaction_session_timeout', $2, $3),
	set_config('synchronous_commit', CASE current_setting('synchronous_commit')
		WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, $3)`

// postgresDB is a pool of connections to a PostgreSQL server. pgx prepares and keeps the
// statements, unless there is a pooler: see [location.through].
type postgresDB struct {
	conns  *sql.DB
	pooled bool // configure each transaction instead of each connection
}

var _ backend = (*postgresDB)(nil)

func openPostgres(ctx context.Context, at location, log *slog.Logger) (*session, error) {
	migrating := stdlib.OpenDB(at.through(true)) // without timeouts, because a migration may take long
	migrating.SetMaxOpenConns(3)                 // for the lock, for goose, and for steps
	closeAll := func() { _ = migrating.Close() }
	if err := awaitServer(ctx, migrating, at, log); err != nil {
		closeAll()
		return nil, err
	}
	pooled, err := examineServer(ctx, migrating)
	if err != nil {
		closeAll()
		return nil, err
	}
	if pooled {
		log.InfoContext(ctx, "database: the connections go through a pooler, so statements are not kept prepared, and each transaction is configured")
	}
	migrator, err := newMigrator(Postgres, migrating, log)
	if err != nil {
		closeAll()
		return nil, err
	}
	serve := func(ctx context.Context) (backend, error) {
		var opts []stdlib.OptionOpenDB
		if !pooled {
			opts = append(opts, stdlib.OptionAfterConnect(configure))
		}
		conns := stdlib.OpenDB(at.through(pooled), opts...)
		conns.SetMaxOpenConns(at.maxConns)
		conns.SetMaxIdleConns(at.maxConns)
		conns.SetConnMaxLifetime(connLifetime)
		conns.SetConnMaxIdleTime(connIdleTime)
		if err := conns.PingContext(ctx); err != nil {
			_ = conns.Close()
			return nil, err
		}
		closeAll()
		return &postgresDB{conns, pooled}, nil
	}
	return &session{migrator: migrator, serve: serve, close: closeAll}, nil
}

// awaitServer waits until the server answers. If the error is not that of a starting
// server, it returns at once.
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
	_, err := conn.Exec(ctx, settings, statementTimeout, idleTimeout, false)
	if err != nil {
		_ = conn.Close(ctx) // pgx does not close it
		return fmt.Errorf("configure a connection: %w", err)
	}
	return nil
}

func (p *postgresDB) view(ctx context.Context, fn Func) error {
	return retry(ctx, func() (bool, error) {
		err := fn(ctx, p.conns)
		return err != nil && lost(err), err
	})
}

func (p *postgresDB) readTx(ctx context.Context, fn Func) error {
	options := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	return retry(ctx, func() (bool, error) {
		tx, err := p.begin(ctx, p.conns, options)
		if err != nil {
			return lost(err), err
		}
		err = fn(ctx, tx)
		_ = tx.Rollback() // nothing to commit
		return err != nil && lost(err), err
	})
}

func (p *postgresDB) write(ctx context.Context, fn Func) error {
	return retry(ctx, func() (bool, error) { return p.try(ctx, fn) })
}

// begin begins a transaction on a connection or the pool.
func (p *postgresDB) begin(ctx context.Context, on interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}, opts *sql.TxOptions,
) (*sql.Tx, error) {
	tx, err := on.BeginTx(ctx, opts)
	if err != nil || !p.pooled {
		return tx, err
	}
	if _, err := tx.ExecContext(ctx, settings, statementTimeout, idleTimeout, true); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return tx, nil
}

// try runs fn in one transaction. It reports whether fn may be retried: the commit was not
// sent, or the server refused it.
func (p *postgresDB) try(ctx context.Context, fn Func) (bool, error) {
	conn, err := p.conns.Conn(ctx)
	if err != nil {
		return lost(err), err
	}
	defer func() { _ = conn.Close() }()
	tx, err := p.begin(ctx, conn, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
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

// retry calls try until it succeeds, reports that a retry is impossible, or ctx ends. After
// lost connections, it retries only a few times.
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
