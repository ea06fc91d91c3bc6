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
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// Report describes a database.
type Report struct {
	Where   string // the file, or host/database
	Server  string // the server's version; empty for SQLite
	Pooled  bool   // a pooler such as PgBouncer is between this process and the server
	New     bool   // the database has no tables yet; the first start creates them
	Pending int    // migrations that the next start applies
	// ClockAhead is how far the server's clock is ahead of this machine's, give or take
	// half a round trip. It is zero for SQLite.
	ClockAhead time.Duration
}

// Check inspects the database of cfg and dataDir. It changes nothing: it creates no file
// and does not migrate. It fails if a node could not start on the database, except that
// another node may have the SQLite file open.
func Check(ctx context.Context, cfg Config, dataDir string) (Report, error) {
	at, err := cfg.parse(dataDir)
	if err != nil {
		return Report{}, err
	}
	ctx, cancel := WithDeadline(ctx)
	defer cancel()
	report := Report{Where: at.String()}
	if at.postgres != nil {
		err = report.readPostgres(ctx, at)
	} else {
		err = report.readSQLite(ctx, at.file)
	}
	return report, err
}

func (r *Report) readSQLite(ctx context.Context, file string) error {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		r.New = true
		return Writable(filepath.Dir(file))
	}
	if err != nil {
		return err
	}
	if err := writableFile(file); err != nil {
		return err
	}
	pool, err := openFile(file, "ro", "query_only(1)")
	if err != nil {
		return err
	}
	defer func() { _ = pool.Close() }()
	return r.readVersion(ctx, SQLite, pool)
}

func (r *Report) readPostgres(ctx context.Context, at location) error {
	pool := stdlib.OpenDB(at.through(true))
	defer func() { _ = pool.Close() }()
	var err error
	if r.Pooled, err = examineServer(ctx, pool); err != nil {
		return err
	}
	if err := pool.QueryRowContext(ctx, "SELECT current_setting('server_version')").Scan(&r.Server); err != nil {
		return err
	}
	var now time.Time
	asked := time.Now()
	if err := pool.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return err
	}
	r.ClockAhead = now.Sub(asked.Add(time.Since(asked) / 2))
	return r.readVersion(ctx, Postgres, pool)
}

// readVersion compares the schema with the migrations.
func (r *Report) readVersion(ctx context.Context, dialect Dialect, pool *sql.DB) error {
	migrator, err := newMigrator(dialect, pool, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	old, err := migrator.has(ctx, versionTable)
	if err != nil {
		return err
	}
	if r.New = !old; r.New {
		return nil
	}
	if err := migrator.refuseNewer(ctx); err != nil {
		return err
	}
	steps, err := migrator.Status(ctx)
	for _, step := range steps {
		if step.AppliedAt.IsZero() {
			r.Pending++
		}
	}
	return err
}

// Writable returns an error if this process cannot create a file in dir, or cannot create
// dir.
func Writable(dir string) error {
	for {
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return err
		}
		dir = parent
	}
	f, err := os.CreateTemp(dir, ".moim-check-*")
	if err != nil {
		return fmt.Errorf("create a file in %s: %w", dir, errors.Unwrap(err))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// writableFile returns an error if the process cannot write a file or create other files in
// its directory, as SQLite does.
func writableFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	return Writable(filepath.Dir(file))
}

// String describes the database on one line.
func (r Report) String() string {
	parts := []string{r.Where}
	if r.Server != "" {
		parts = append(parts, "PostgreSQL "+r.Server)
	}
	if r.Pooled {
		parts = append(parts, "through a pooler of connections")
	}
	switch {
	case r.New:
		parts = append(parts, "the first start creates the tables")
	case r.Pending > 0:
		parts = append(parts, fmt.Sprintf("the next start applies %d migrations", r.Pending))
	default:
		parts = append(parts, "the tables are up to date")
	}
	return strings.Join(parts, ", ")
}
