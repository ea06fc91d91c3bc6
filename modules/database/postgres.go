package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// statementTimeout and idleTimeout end what a frozen node left behind: no
	// row stays locked for longer. Together they bound how long a transaction
	// may take from its last statement to its commit.
	statementTimeout = 5 * time.Second
	idleTimeout      = 5 * time.Second

	connLifetime = 30 * time.Minute
	connIdleTime = 5 * time.Minute

	// startPatience is how long Start waits for a server that is not up yet.
	startPatience = 10 * time.Second
	startEvery    = 100 * time.Millisecond

	// maxReconnects is how often a call that lost its connection tries another.
	maxReconnects = 2
	firstPause    = 2 * time.Millisecond
	longestPause  = 200 * time.Millisecond
)

// sessionSettings sets a new connection up. Acknowledged means on disk, so
// commits are not left asynchronous even where the server is told so.
const sessionSettings = `SELECT set_config('statement_timeout', $1, false),
	set_config('idle_in_transaction_session_timeout', $2, false),
	set_config('synchronous_commit', CASE current_setting('synchronous_commit')
		WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)`

// postgresDB is a pool of connections to a PostgreSQL server. pgx prepares and
// keeps statements by itself.
type postgresDB struct {
	conns *sql.DB

	once   sync.Once
	closed chan struct{}
}

var _ backend = (*postgresDB)(nil)

func openPostgres(ctx context.Context, at location, log *slog.Logger) (*session, error) {
	config := *at.postgres.ConnConfig
	migrating := stdlib.OpenDB(config) // no timeouts: a step may take long
	migrating.SetMaxOpenConns(2)
	closeAll := func() { _ = migrating.Close() }
	if err := awaitServer(ctx, migrating, at, log); err != nil {
		closeAll()
		return nil, Translate(err)
	}
	migrator, err := newMigrator(Postgres, migrating, log)
	if err != nil {
		closeAll()
		return nil, err
	}
	serve := func(ctx context.Context) (backend, error) {
		conns := stdlib.OpenDB(config, stdlib.OptionAfterConnect(setUp))
		conns.SetMaxOpenConns(at.maxConns)
		conns.SetMaxIdleConns(at.maxConns)
		conns.SetConnMaxLifetime(connLifetime)
		conns.SetConnMaxIdleTime(connIdleTime)
		if err := conns.PingContext(ctx); err != nil {
			_ = conns.Close()
			return nil, err
		}
		closeAll()
		return &postgresDB{conns: conns, closed: make(chan struct{})}, nil
	}
	return &session{migrator: migrator, serve: serve, close: closeAll}, nil
}

// awaitServer returns when the server answers, or with an error that waiting
// does not mend.
func awaitServer(ctx context.Context, pool *sql.DB, at location, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for told := false; ; told = true {
		err := pool.PingContext(ctx)
		if err == nil || !starting(err) {
			return err
		}
		if !told {
			log.Warn("database: waiting for PostgreSQL", "at", at.String(), "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// starting reports an error of a server that may be on its way up.
func starting(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "57P03"
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

func setUp(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, sessionSettings, milliseconds(statementTimeout), milliseconds(idleTimeout))
	if err != nil {
		_ = conn.Close(ctx) // the library leaves that to us
		return fmt.Errorf("set up a connection: %w", err)
	}
	return nil
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

func (p *postgresDB) pool() Querier { return p.conns }

func (p *postgresDB) view(ctx context.Context, fn Func) error {
	return again(ctx, func() (bool, error) {
		err := fn(ctx, p.conns)
		return err != nil && lost(err), err
	})
}

func (p *postgresDB) readTx(ctx context.Context, fn Func) error {
	options := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	return again(ctx, func() (bool, error) {
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
	return again(ctx, func() (bool, error) { return p.try(ctx, fn) })
}

// try runs fn in one transaction. It reports whether fn may be run again:
// after an error that came before the commit was sent, or with which the
// server refused it.
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
	defer func() { _ = tx.Rollback() }() // for a panic; otherwise it has ended
	if err := fn(ctx, tx); err != nil {
		_ = tx.Rollback()
		if lost(err) {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // not for the next one
			return true, err
		}
		return conflict(err), err
	}
	if err := tx.Commit(); err != nil {
		return conflict(err), fmt.Errorf("commit: %w", err)
	}
	return false, nil
}

// again calls try until it succeeds or says that it is not worth it: within
// the deadline after conflicts, a few times after lost connections.
func again(ctx context.Context, try func() (bool, error)) error {
	reconnects := 0
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		retry, err := try()
		if err == nil || !retry || ctx.Err() != nil {
			return err
		}
		if !conflict(err) {
			if reconnects++; reconnects > maxReconnects {
				return err
			}
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (p *postgresDB) close(ctx context.Context) error {
	p.once.Do(func() {
		go func() {
			defer close(p.closed)
			_ = p.conns.Close()
		}()
	})
	select {
	case <-p.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the database: %w", ctx.Err())
	}
}
