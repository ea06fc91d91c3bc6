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

	"github.com/moim-live/moim/migrations"
)

// versionTable is not goose's default name, because other programs that use
// goose may share the database.
const versionTable = "moim_migrations"

// Migration is one step between two versions of the schema.
type Migration struct {
	Version   int64
	Name      string    // the file name without number and suffix
	AppliedAt time.Time // only Status sets it; zero if pending
}

// Migrator changes the version of a database's schema. On PostgreSQL several
// migrators of one database wait for each other. A SQLite file is locked until
// Close. A Migrator is not safe for concurrent use.
type Migrator struct {
	provider *goose.Provider
	close    func()
}

// OpenMigrator opens the database that cfg and dataDir name, as [Open] does. It
// does not migrate.
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
		options = append(options, goose.WithLocker(&migrating{}))
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

// Up applies the pending migrations and returns them.
func (m *Migrator) Up(ctx context.Context) ([]Migration, error) {
	if err := m.refuseNewer(ctx); err != nil {
		return nil, err
	}
	results, err := m.provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate the database: %w", err)
	}
	return steps(results), nil
}

// Down reverts the last migration and returns it, or nothing if none is applied.
// The data in the tables that the migration created is lost.
func (m *Migrator) Down(ctx context.Context) ([]Migration, error) {
	if err := m.refuseNewer(ctx); err != nil {
		return nil, err
	}
	result, err := m.provider.Down(ctx)
	switch {
	case errors.Is(err, goose.ErrNoNextVersion):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("revert the last migration: %w", err)
	}
	return steps([]*goose.MigrationResult{result}), nil
}

// Status returns all migrations, by version.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	status, err := m.provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the status of the migrations: %w", err)
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
		return fmt.Errorf("read the database's version: %w", err)
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

// name returns the file name of a migration without number and suffix.
func name(s *goose.Source) string {
	base := strings.TrimSuffix(path.Base(s.Path), ".sql")
	if _, rest, ok := strings.Cut(base, "_"); ok {
		return rest
	}
	return base
}
