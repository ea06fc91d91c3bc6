package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	minReaders = 4
	// busyTimeout is how long SQLite waits while another program, such as a backup tool,
	// locks the file.
	busyTimeout = 2 * time.Second
)

// sqliteDB is a SQLite file with one connection for writing and a pool for
// reading.
type sqliteDB struct {
	writing *sql.DB
	reading *sql.DB
	writer  *writer
	lock    *fileLock
	file    string
	log     *slog.Logger
}

var _ backend = (*sqliteDB)(nil)

// openSQLite creates the file if necessary, locks it, and opens the writing connection.
func openSQLite(ctx context.Context, file string, log *slog.Logger) (*session, error) {
	s, err := createSQLite(ctx, file, log)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("%w: this user must be able to write to the directory (data.dir or database.url)", err)
	}
	return s, err
}

func createSQLite(ctx context.Context, file string, log *slog.Logger) (*session, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	// SQLite gives its other files the same mode.
	created, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := created.Close(); err != nil {
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
	writing.SetMaxOpenConns(2) // during migrations: one for goose, one for steps
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
		writing.SetMaxOpenConns(1)
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
			lock:    lock,
			file:    file,
			log:     log,
		}, nil
	}
	return &session{migrator: migrator, serve: serve, close: closeAll}, nil
}

// checkFile returns an error if the file system does not support the write-ahead log.
// Otherwise, the first write would fail with a less clear error.
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

// openFile returns a pool of connections to a SQLite file. It does not open a connection
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

func (s *sqliteDB) view(ctx context.Context, fn Func) error { return fn(ctx, s.reading) }

func (s *sqliteDB) readTx(ctx context.Context, fn Func) error {
	tx, err := s.reading.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to commit
	return fn(ctx, tx)
}

func (s *sqliteDB) write(ctx context.Context, fn Func) error { return s.writer.write(ctx, fn) }

func (s *sqliteDB) close(ctx context.Context) {
	s.writer.stop()
	_ = s.reading.Close()
	if err := checkpoint(ctx, s.writing); err != nil {
		s.log.WarnContext(ctx, "database: the write-ahead log was not moved into the database file; keep both files together, also in a backup",
			"file", s.file, "log", s.file+"-wal", "err", err)
	}
	_ = s.writing.Close() // last, because a read-only connection does not delete the log file
	s.lock.release()
}
