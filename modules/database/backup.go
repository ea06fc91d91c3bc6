package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// errNotSQLite is returned for a database that has backup tools of its own.
var errNotSQLite = errors.New("the database is PostgreSQL: use pg_dump and pg_restore, or its physical backups")

// Backup writes a copy of the SQLite database of cfg and dataDir to a new file. A node may
// use the database meanwhile: the copy is the database at one moment. Backup creates the
// file only if it succeeds.
func Backup(ctx context.Context, cfg Config, dataDir, to string) error {
	at, err := cfg.parse(dataDir)
	switch {
	case err != nil:
		return err
	case at.postgres != nil:
		return errNotSQLite
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w: name a new file", to, fs.ErrExist)
	}
	if _, err := os.Stat(at.file); err != nil {
		return err
	}
	pool, err := openFile(at.file, "ro")
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	tmp, err := temporary(to)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }()
	if err := copyDatabase(ctx, pool, tmp); err != nil {
		return fmt.Errorf("copy %s: %w", at.file, err)
	}
	if err := os.Link(tmp, to); err != nil { // fails if the file exists now
		return err
	}
	return syncDir(filepath.Dir(to))
}

// Restore replaces the SQLite database of cfg and dataDir by a backup. It fails, and
// changes nothing, if a node has the database open, or if the backup is damaged or from a
// newer version. It returns the new path of the replaced database, or "" if there was none.
func Restore(ctx context.Context, cfg Config, dataDir, from string) (replaced string, err error) {
	at, err := cfg.parse(dataDir)
	switch {
	case err != nil:
		return "", err
	case at.postgres != nil:
		return "", errNotSQLite
	}
	source, err := examine(ctx, from)
	if err != nil {
		return "", fmt.Errorf("%s cannot be restored, and nothing was changed: %w", from, err)
	}
	defer func() { _ = source.Close() }()
	if err := os.MkdirAll(filepath.Dir(at.file), 0o700); err != nil {
		return "", err
	}
	lock, err := lockFile(at.file)
	if err != nil {
		return "", err
	}
	defer lock.release()
	tmp, err := temporary(at.file)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(tmp) }()
	if err := copyDatabase(ctx, source, tmp); err != nil {
		return "", fmt.Errorf("copy %s: %w", from, err)
	}
	if replaced, err = setAside(at.file); err != nil {
		return replaced, err
	}
	if err := os.Rename(tmp, at.file); err != nil {
		return replaced, err
	}
	return replaced, syncDir(filepath.Dir(at.file))
}

// examine opens a database. It fails if the database is damaged or this version cannot read
// it.
func examine(ctx context.Context, file string) (*sql.DB, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	pool, err := openFile(file, "ro")
	if err != nil {
		return nil, err
	}
	if err := check(ctx, pool); err != nil {
		_ = pool.Close()
		return nil, err
	}
	return pool, nil
}

func check(ctx context.Context, pool *sql.DB) error {
	var verdict string
	if err := pool.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("the database is damaged: %s", verdict)
	}
	var id string
	if err := pool.QueryRowContext(ctx, "SELECT id FROM deployment").Scan(&id); err != nil {
		return fmt.Errorf("it is not a database of Moim: %w", err)
	}
	migrator, err := newMigrator(SQLite, pool, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return migrator.refuseNewer(ctx)
}

// setAside renames a database that is not open, and returns its new name, or "" if there is
// none. It also renames the write-ahead log, even if only the log exists: SQLite would
// apply it to the next database of that name.
func setAside(file string) (string, error) {
	to, moved := file+time.Now().UTC().Format(".20060102-150405.000"), ""
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(file+suffix, to+suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return moved, err
		case suffix == "":
			moved = to
		}
	}
	return moved, nil
}

// temporary returns the name of a new file in the same directory as another one.
func temporary(beside string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(beside), filepath.Base(beside)+".*.tmp") // mode 0600
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// copyDatabase copies a database, including its write-ahead log, to an empty file.
func copyDatabase(ctx context.Context, pool *sql.DB, to string) error {
	if _, err := pool.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return err
	}
	return syncFile(to)
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes a new name survive a crash of the machine, if the system supports this.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	_ = dir.Sync() // fails on Windows
	return dir.Close()
}
