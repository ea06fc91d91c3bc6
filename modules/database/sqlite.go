package database

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

const (
	minReaders = 4
	// busyTimeout is how long SQLite waits for a lock that another program,
	// such as a backup tool, has on the file.
	busyTimeout = 2 * time.Second
)

// sqliteDB is a SQLite file with one connection that writes and a few that
// read.
type sqliteDB struct {
	writing *sql.DB
	reading *sql.DB
	writer  *writer
	read    statements
	lock    *fileLock
	file    string
	log     *slog.Logger

	once   sync.Once
	closed chan struct{}
}

var _ backend = (*sqliteDB)(nil)

// openSQLite locks the file, makes it where there is none, and opens the
// writing connection.
func openSQLite(ctx context.Context, file string, log *slog.Logger) (*session, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	// SQLite's other files take their mode from this one.
	made, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := made.Close(); err != nil {
		return nil, err
	}
	lock, err := lockFile(file)
	if err != nil {
		return nil, err
	}
	writing, err := openFile(file, "rwc",
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "journal_size_limit(67108864)", "cache_size(-16000)")
	if err != nil {
		lock.release()
		return nil, err
	}
	writing.SetMaxOpenConns(1)
	closeAll := func() {
		_ = writing.Close()
		lock.release()
	}
	if err := checkFile(ctx, writing); err != nil {
		closeAll()
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	migrator, err := newMigrator(SQLite, writing, log)
	if err != nil {
		closeAll()
		return nil, err
	}
	serve := func(ctx context.Context) (backend, error) {
		reading, err := openFile(file, "ro", "query_only(1)", "cache_size(-8000)")
		if err != nil {
			return nil, err
		}
		readers := max(minReaders, runtime.GOMAXPROCS(0))
		reading.SetMaxOpenConns(readers)
		reading.SetMaxIdleConns(readers)
		if err := reading.PingContext(ctx); err != nil {
			_ = reading.Close()
			return nil, err
		}
		return &sqliteDB{
			writing: writing,
			reading: reading,
			writer:  startWriter(writing),
			read:    statements{texts: newTexts(reading.PrepareContext), direct: reading},
			lock:    lock,
			file:    file,
			log:     log,
			closed:  make(chan struct{}),
		}, nil
	}
	return &session{migrator: migrator, serve: serve, close: closeAll}, nil
}

// checkFile says early and clearly what would otherwise fail with the first
// write: that the disk takes no write-ahead log.
func checkFile(ctx context.Context, pool *sql.DB) error {
	var mode string
	if err := pool.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the journal mode is %s: this file system does not support SQLite's write-ahead log", mode)
	}
	return nil
}

// openFile returns a pool of connections to a SQLite file, none of them opened
// yet.
func openFile(file, mode string, pragmas ...string) (*sql.DB, error) {
	pragmas = append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())}, pragmas...)
	path := filepath.ToSlash(file)
	if filepath.VolumeName(file) != "" {
		path = "/" + path
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + url.Values{"mode": {mode}, "_pragma": pragmas}.Encode()
	return openPool(dsn)
}

func (s *sqliteDB) pool() Querier { return s.read }

func (s *sqliteDB) view(ctx context.Context, fn Func) error { return fn(ctx, s.read) }

func (s *sqliteDB) readTx(ctx context.Context, fn Func) error {
	tx, err := s.reading.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	q := &readingTx{tx: tx, texts: s.read.texts}
	defer q.prepare(ctx)
	defer func() { _ = tx.Rollback() }() // there is nothing to commit
	return fn(ctx, q)
}

func (s *sqliteDB) write(ctx context.Context, fn Func) error { return s.writer.write(ctx, fn) }

func (s *sqliteDB) close(ctx context.Context) error {
	s.once.Do(func() {
		go func() {
			defer close(s.closed)
			s.writer.stop()
			s.read.texts.close()
			_ = s.reading.Close()
			if err := checkpoint(ctx, s.writing); err != nil {
				s.log.Warn("database: the write-ahead log was not moved into the database's file: keep the two together, also in a copy",
					"file", s.file, "log", s.file+"-wal", "err", err)
			}
			_ = s.writing.Close() // last: a connection that only reads leaves the log's file behind
			s.lock.release()
		}()
	})
	select {
	case <-s.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the database (until that is done, a copy of %[1]s needs %[1]s-wal too): %w", s.file, ctx.Err())
	}
}

// readingTx runs a pool's prepared statements in a transaction. What is not
// prepared yet is run as it is, and prepared afterwards: preparing takes a
// connection of the pool, and transactions that hold one while they wait for
// another would wait for each other.
type readingTx struct {
	tx         *sql.Tx
	texts      *texts
	unprepared []string
}

func (r *readingTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return r.tx.ExecContext(ctx, query, args...)
}

func (r *readingTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if st := r.statement(query); st != nil {
		return r.tx.StmtContext(ctx, st).QueryContext(ctx, args...)
	}
	return r.tx.QueryContext(ctx, query, args...)
}

func (r *readingTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if st := r.statement(query); st != nil {
		return r.tx.StmtContext(ctx, st).QueryRowContext(ctx, args...)
	}
	return r.tx.QueryRowContext(ctx, query, args...)
}

func (r *readingTx) statement(query string) *sql.Stmt {
	st := r.texts.find(query)
	if st == nil {
		r.unprepared = append(r.unprepared, query)
	}
	return st
}

// prepare prepares what was missing, once the transaction has ended.
func (r *readingTx) prepare(ctx context.Context) {
	for _, query := range r.unprepared {
		r.texts.get(ctx, query)
	}
}
