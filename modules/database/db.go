package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// defaultTimeout bounds every call, whatever time its context has: nobody waits
// longer than that for a database that does not answer.
const defaultTimeout = 5 * time.Second

// DB is an open database. It is safe for concurrent use.
//
// No call takes longer than 5 s, whatever its context allows: a statement that
// runs at that moment is interrupted. Errors that mean that the database does
// not answer are fault.ErrUnavailable; after one from [DB.Write] the change may
// or may not have happened. Before Start and after Stop every call returns it.
type DB struct {
	at  location
	log *slog.Logger

	starting sync.Mutex // held by Start; taken before mu

	mu       sync.RWMutex
	open     backend // nil while it is not open
	identity string
}

// backend is what differs between the two databases.
type backend interface {
	view(ctx context.Context, fn Func) error
	readTx(ctx context.Context, fn Func) error
	write(ctx context.Context, fn Func) error
	pool() Querier
	close(ctx context.Context) error
}

// Func runs statements. It may run more than once, so it sets what it hands
// out anew each time, and it passes its ctx on.
type Func func(ctx context.Context, q Querier) error

// Open returns the database that cfg names, not yet opened: see [DB.Start]. An
// empty URL means moim.db in dataDir. Its errors never show a password.
func Open(cfg Config, dataDir string, log *slog.Logger) (*DB, error) {
	at, err := cfg.parse(dataDir)
	if err != nil {
		return nil, err
	}
	return &DB{at: at, log: log}, nil
}

// Start opens the database, migrates it to this program's version and reads
// its identity. It refuses a SQLite file that another process has open, and a
// schema newer than this program. It waits a while for a PostgreSQL server
// that is not up yet.
func (d *DB) Start(ctx context.Context) error {
	d.starting.Lock()
	defer d.starting.Unlock()
	if _, err := d.backend(); err == nil {
		return errors.New("the database is open already")
	}
	open, id, err := d.start(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.open, d.identity = open, id
	d.mu.Unlock()
	d.log.Info("database: open", "dialect", string(d.Dialect()), "at", d.at.String(), "identity", id)
	return nil
}

func (d *DB) start(ctx context.Context) (open backend, id string, err error) {
	s, err := openSession(ctx, d.at, d.log)
	if err != nil {
		return nil, "", fmt.Errorf("open the database: %w", Translate(err))
	}
	applied, err := s.migrator.Up(ctx)
	if err != nil {
		s.close()
		return nil, "", err
	}
	for _, m := range applied {
		d.log.Info("database: migrated", "version", m.Version, "name", m.Name)
	}
	if open, err = s.serve(ctx); err != nil {
		s.close()
		return nil, "", fmt.Errorf("open the database: %w", Translate(err))
	}
	if id, err = readIdentity(ctx, open, d.Dialect()); err != nil {
		_ = open.close(ctx)
		return nil, "", fmt.Errorf("read the database's identity: %w", Translate(err))
	}
	return open, id, nil
}

// Stop closes the database. Writes that have begun are finished first. Then
// SQLite's write-ahead log is moved into the database's file, which is the whole
// database from there on. Stop logs a warning where a transaction of another
// program prevents that. It gives up waiting when ctx ends.
func (d *DB) Stop(ctx context.Context) error {
	d.mu.Lock()
	open := d.open
	d.open = nil
	d.mu.Unlock()
	if open == nil {
		return nil
	}
	return open.close(ctx)
}

// Dialect says which database it is.
func (d *DB) Dialect() Dialect {
	if d.at.postgres != nil {
		return Postgres
	}
	return SQLite
}

// Identity returns the UUID of the deployment that this database belongs to.
// It was made when the database was first opened and never changes.
func (d *DB) Identity(context.Context) (string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.identity == "" {
		return "", Translate(errClosed)
	}
	return d.identity, nil
}

// Read returns the pool for single statements that change nothing. Unlike
// [DB.View] it sets no deadline of its own and translates no error; see
// [Translate].
func (d *DB) Read() Querier {
	open, err := d.backend()
	if err != nil {
		return closedPool()
	}
	return open.pool()
}

// View runs fn on the pool, for statements that change nothing and need not
// see one moment.
func (d *DB) View(ctx context.Context, fn Func) error {
	return d.run(ctx, fn, backend.view)
}

// ReadTx runs fn in a transaction that changes nothing and sees the database
// as of one moment.
func (d *DB) ReadTx(ctx context.Context, fn Func) error {
	return d.run(ctx, fn, backend.readTx)
}

// Write runs fn in a transaction and returns once it is committed, and on disk.
// An error from fn rolls back and is returned as it is. On PostgreSQL fn reads
// what was committed before each statement began, so it locks what it decides
// upon; it is run again after a deadlock, a conflict, or a connection lost
// before the commit. On SQLite one fn runs at a time, for 3 s at most while
// others wait, and several share one commit; it is run again when another one's
// statement was interrupted.
func (d *DB) Write(ctx context.Context, fn Func) error {
	return d.run(ctx, fn, backend.write)
}

// Ping asks the database whether it answers.
func (d *DB) Ping(ctx context.Context) error {
	return d.View(ctx, func(ctx context.Context, q Querier) error {
		var id string
		return q.QueryRowContext(ctx, "SELECT id FROM deployment").Scan(&id)
	})
}

func (d *DB) run(ctx context.Context, fn Func, how func(backend, context.Context, Func) error) error {
	open, err := d.backend()
	if err != nil {
		return Translate(err)
	}
	ctx, cancel := WithDeadline(ctx)
	defer cancel()
	return Translate(how(open, ctx, func(ctx context.Context, q Querier) error {
		return fn(ctx, limited{q, ctx})
	}))
}

// WithDeadline bounds ctx as every call to a database is bounded: whoever has
// longer must not wait longer for one that is frozen.
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

// closedPool answers everything with an error.
func closedPool() Querier {
	pool := sql.OpenDB(noConnector{})
	_ = pool.Close()
	return pool
}

func readIdentity(ctx context.Context, b backend, dialect Dialect) (id string, err error) {
	const query = "SELECT id FROM deployment"
	err = b.view(ctx, func(ctx context.Context, q Querier) error {
		return q.QueryRowContext(ctx, query).Scan(&id)
	})
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	fresh := uuid.NewString()
	err = b.write(ctx, func(ctx context.Context, q Querier) error {
		_, err := q.ExecContext(ctx, "INSERT INTO deployment (one, id, created_at) VALUES (1, $1, "+dialect.Now()+
			") ON CONFLICT (one) DO NOTHING", fresh)
		if err != nil {
			return err
		}
		return q.QueryRowContext(ctx, query).Scan(&id) // another node's, where that was first
	})
	return id, err
}
