package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/moim-live/moim/migrations"
)

const (
	// versionTable has a name of our own: a database may be shared with other
	// programs that use the same migration library.
	versionTable = "moim_migrations"
	// migrationLock is the key of the advisory lock that makes one node at a
	// time migrate a PostgreSQL database.
	migrationLock = 0x6d6f696d // "moim"
)

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string
	AppliedAt time.Time // zero: it is pending
}

// Migrator moves a database's schema between versions. On PostgreSQL one
// migrator at a time works on a database; a SQLite file is its own until
// Close.
type Migrator struct {
	provider *goose.Provider
	close    func()
}

// OpenMigrator opens the database that cfg and dataDir name, as for [Open],
// without migrating it.
func OpenMigrator(ctx context.Context, cfg Config, dataDir string, log *slog.Logger) (*Migrator, error) {
	at, err := cfg.parse(dataDir)
	if err != nil {
		return nil, err
	}
	s, err := openSession(ctx, at, log)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	s.migrator.close = s.close
	return s.migrator, nil
}

func newMigrator(dialect Dialect, pool *sql.DB, log *slog.Logger) (*Migrator, error) {
	options := []goose.ProviderOption{
		goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(log),
	}
	gooseDialect := goose.DialectSQLite3
	if dialect == Postgres {
		gooseDialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	steps, err := fs.Sub(migrations.FS, string(dialect))
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(gooseDialect, pool, steps, options...)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return &Migrator{provider: provider, close: func() {}}, nil
}

// Up applies what is pending and returns it.
func (m *Migrator) Up(ctx context.Context) ([]Migration, error) {
	if err := m.refuseNewer(ctx); err != nil {
		return nil, err
	}
	results, err := m.provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate the database: %w", Translate(err))
	}
	return steps(results), nil
}

// Down takes the last step back and returns it; nothing when there is none.
// What that step made is lost.
func (m *Migrator) Down(ctx context.Context) ([]Migration, error) {
	if err := m.refuseNewer(ctx); err != nil {
		return nil, err
	}
	result, err := m.provider.Down(ctx)
	switch {
	case errors.Is(err, goose.ErrNoNextVersion):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("take back the last migration: %w", Translate(err))
	}
	return steps([]*goose.MigrationResult{result}), nil
}

// Status lists all steps in order.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	status, err := m.provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the migrations' status: %w", Translate(err))
	}
	all := make([]Migration, 0, len(status))
	for _, s := range status {
		all = append(all, Migration{Version: s.Source.Version, Name: name(s.Source), AppliedAt: s.AppliedAt})
	}
	return all, nil
}

// Close closes a database that [OpenMigrator] opened.
func (m *Migrator) Close() { m.close() }

func (m *Migrator) refuseNewer(ctx context.Context) error {
	have, known, err := m.provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the database's version: %w", Translate(err))
	}
	if have > known {
		return fmt.Errorf("the database is at version %d, newer than this moim (%d): upgrade moim", have, known)
	}
	return nil
}

func steps(results []*goose.MigrationResult) []Migration {
	done := make([]Migration, 0, len(results))
	for _, r := range results {
		done = append(done, Migration{Version: r.Source.Version, Name: name(r.Source)})
	}
	return done
}

// name is a step's file name without its number and ending.
func name(s *goose.Source) string {
	base := strings.TrimSuffix(path.Base(s.Path), ".sql")
	if _, rest, ok := strings.Cut(base, "_"); ok {
		return rest
	}
	return base
}
