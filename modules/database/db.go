package database

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/fault"
)

// defaultTimeout limits every call, even if its context has a later deadline.
const defaultTimeout = 5 * time.Second

// DB is an open database. It is safe for concurrent use.
//
// No call takes longer than 5 s, even if its context has a later deadline. A statement that
// is still running then is interrupted. Calls return fault.ErrUnavailable if the database
// does not answer, and before Start and after Stop. If [DB.Write] returns it, the change
// may or may not be committed.
type DB struct {
	at  location
	log *slog.Logger

	starting sync.Mutex // held by Start; locked before mu

	mu         sync.RWMutex
	open       backend // nil before Start and after Stop
	deployment deployment
}

// deployment is this deployment's row.
type deployment struct {
	id     string
	secret string // never leaves the nodes
}

// backend is an open database of one dialect.
type backend interface {
	view(ctx context.Context, fn Func) error
	readTx(ctx context.Context, fn Func) error
	write(ctx context.Context, fn Func) error
	// close waits for running calls, without a time limit.
	close(ctx context.Context)
}

// Func runs the statements of one call. It may run more than once, so it must
// reset its results when it starts. It must pass its ctx to each statement and
// close the rows that it opens.
type Func func(ctx context.Context, q Querier) error

// Open returns the database of cfg. It does no I/O: [DB.Start] opens the database. An empty
// URL means moim.db in dataDir. Errors never contain a password.
func Open(cfg Config, dataDir string, log *slog.Logger) (*DB, error) {
	at, err := cfg.parse(dataDir)
	if err != nil {
		return nil, err
	}
	return &DB{at: at, log: log}, nil
}

// Start opens the database, migrates the schema to this program's version and
// reads the identity. It fails if another process has the SQLite file open, or
// if the schema is newer than this program. It waits up to 10 s for a
// PostgreSQL server that is still starting. It fails if that server is a standby.
func (d *DB) Start(ctx context.Context) error {
	d.starting.Lock()
	defer d.starting.Unlock()
	if _, err := d.backend(); err == nil {
		return errors.New("the database is already open")
	}
	open, own, migrated, err := d.start(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.open, d.deployment = open, own
	d.mu.Unlock()
	d.log.InfoContext(ctx, "database: open", "dialect", string(d.Dialect()), "at", d.at.String(), "identity", own.id, "migrations", migrated)
	return nil
}

// start opens the database. It also returns the deployment's row and the number of applied
// migrations.
func (d *DB) start(ctx context.Context) (open backend, own deployment, migrated int, err error) {
	s, err := openSession(ctx, d.at, d.log)
	if err != nil {
		return nil, own, 0, fmt.Errorf("open the database: %w", err)
	}
	applied, err := s.migrator.Up(ctx)
	if err != nil {
		s.close()
		return nil, own, 0, err
	}
	if open, err = s.serve(ctx); err != nil {
		s.close()
		return nil, own, 0, fmt.Errorf("open the database: %w", err)
	}
	if own, err = readDeployment(ctx, open, d.Dialect()); err != nil {
		open.close(ctx)
		return nil, own, 0, fmt.Errorf("read the database's identity: %w", err)
	}
	return open, own, len(applied), nil
}

// Stop finishes the writes that have begun and closes the database. On SQLite
// it then moves the write-ahead log into the database file, so that this file
// alone is the whole database. It logs a warning if a transaction of another
// program prevents that. Stop returns an error if ctx ends first; closing then
// continues in the background.
func (d *DB) Stop(ctx context.Context) error {
	d.mu.Lock()
	open := d.open
	d.open = nil
	d.mu.Unlock()
	if open == nil {
		return nil
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		open.close(ctx)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
	}
	if file := d.at.file; file != "" {
		return fmt.Errorf("close the database (until it is closed, a copy of %[1]s needs %[1]s-wal too): %w", file, ctx.Err())
	}
	return fmt.Errorf("close the database: %w", ctx.Err())
}

// Dialect returns the kind of this database.
func (d *DB) Dialect() Dialect {
	if d.at.postgres != nil {
		return Postgres
	}
	return SQLite
}

// Identity returns the UUID of the deployment that this database belongs to.
// The first Start creates it, and it never changes. Before the first Start
// Identity returns fault.ErrUnavailable.
func (d *DB) Identity(context.Context) (string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.deployment.id == "" {
		return "", Translate(errClosed)
	}
	return d.deployment.id, nil
}

// Key returns a key of 32 bytes for one purpose. It is the same on every node of the
// deployment. It cannot be derived from the identity, which nodes announce, nor from the
// key of another purpose. Its errors are those of Identity.
func (d *DB) Key(use string) ([]byte, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.deployment.secret == "" {
		return nil, Translate(errClosed)
	}
	return hkdf.Key(sha256.New, []byte(d.deployment.secret), nil, "moim "+use, sha256.Size)
}

// View runs fn on the pool, for statements that only read. Each statement may see a
// different state of the database.
func (d *DB) View(ctx context.Context, fn Func) error {
	return d.run(ctx, "sql view", fn, backend.view)
}

// ReadTx runs fn in a read-only transaction. All its statements see the
// database at the same moment.
func (d *DB) ReadTx(ctx context.Context, fn Func) error {
	return d.run(ctx, "sql read", fn, backend.readTx)
}

// Write runs fn in a transaction and returns when it is committed and on disk.
// If fn returns an error, Write rolls back and returns that error.
//
// On PostgreSQL each statement sees what was committed before it began, so fn
// must lock the rows that it bases decisions on. Write runs fn again after a
// deadlock, a conflict, or a connection lost before the commit.
//
// On SQLite one fn runs at a time, for at most 3 s while others wait, and
// several share one commit. Write runs fn again if a statement of another fn
// in the same commit was interrupted. If a statement of fn is interrupted, its
// later statements fail as well.
func (d *DB) Write(ctx context.Context, fn Func) error {
	return d.run(ctx, "sql write", fn, backend.write)
}

// Ping checks that the database answers and, on PostgreSQL, that it accepts writes.
func (d *DB) Ping(ctx context.Context) error {
	if d.Dialect() == SQLite {
		return d.View(ctx, func(ctx context.Context, q Querier) error {
			var id string
			return q.QueryRowContext(ctx, "SELECT id FROM deployment").Scan(&id)
		})
	}
	// Write removes connections that lead to a standby after a failover.
	return d.Write(ctx, func(ctx context.Context, q Querier) error {
		var id, readOnly string
		err := q.QueryRowContext(ctx, "SELECT id, "+readOnlySetting+" FROM deployment").Scan(&id, &readOnly)
		if err == nil && readOnly == "on" {
			err = errReadOnly
		}
		return err
	})
}

// run creates a span for the call if the request is traced.
func (d *DB) run(ctx context.Context, what string, fn Func, how func(backend, context.Context, Func) error) (err error) {
	open, err := d.backend()
	if err != nil {
		return Translate(err)
	}
	ctx, cancel := WithDeadline(ctx)
	defer cancel()
	ctx, span := tracing.Child(ctx, what, tracing.Client)
	if span.On() {
		span.Set(tracing.String("db.system.name", string(d.Dialect())))
		defer func() { span.End(failure(err)) }()
	}
	return Translate(how(open, ctx, func(ctx context.Context, q Querier) error {
		return fn(ctx, bound{q, func(given context.Context) context.Context { return earlier(given, ctx) }})
	}))
}

// failure returns err if it is an error of the database. Other errors are results of fn.
func failure(err error) error {
	if errors.Is(err, fault.ErrUnavailable) {
		return err
	}
	return nil
}

// WithDeadline returns ctx with the 5 s deadline that each call of a [DB] has.
func WithDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, defaultTimeout)
}

func (d *DB) backend() (backend, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.open == nil {
		return nil, errClosed
	}
	return d.open, nil
}

// readDeployment reads this deployment's row. It creates what is missing: an earlier
// version created no secret.
func readDeployment(ctx context.Context, b backend, dialect Dialect) (own deployment, err error) {
	read := func(ctx context.Context, q Querier) error {
		return q.QueryRowContext(ctx, "SELECT id, COALESCE(secret, '') FROM deployment").Scan(&own.id, &own.secret)
	}
	if err = b.view(ctx, read); err != nil && !errors.Is(err, sql.ErrNoRows) || err == nil && own.secret != "" {
		return own, err
	}
	id, secret := uuid.NewString(), rand.Text()
	err = b.write(ctx, func(ctx context.Context, q Querier) error {
		_, err := q.ExecContext(ctx, "INSERT INTO deployment (one, id, created_at) VALUES (1, $1, "+dialect.Now()+
			") ON CONFLICT (one) DO NOTHING", id)
		if err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, "UPDATE deployment SET secret = $1 WHERE secret IS NULL", secret); err != nil {
			return err
		}
		return read(ctx, q) // another node may have been first
	})
	return own, err
}
