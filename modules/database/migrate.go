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
	dialect  Dialect
	provider *goose.Provider
	stepped  map[int64]string // names of stepped migrations, which goose does not know
	pool     *sql.DB
	exists   string // a statement that counts the tables with a name
	close    func()
}

// OpenMigrator opens the database of cfg and dataDir, like [Open]. It does not migrate.
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
	gooseDialect, exists := goose.DialectSQLite3, "SELECT count(*) FROM sqlite_schema WHERE name = $1"
	if dialect == Postgres {
		gooseDialect, exists = goose.DialectPostgres, "SELECT count(to_regclass($1))"
		options = append(options, goose.WithLocker(&migrating{}))
	}
	steps, err := fs.Sub(migrations.FS, string(dialect))
	if err != nil {
		return nil, err
	}
	inSteps, err := steppedMigrations(steps, dialect, log)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	names := make(map[int64]string)
	for file, s := range inSteps {
		names[s.version] = s.name
		options = append(options, goose.WithExcludeNames([]string{file}), goose.WithGoMigrations(s.migration()))
	}
	provider, err := goose.NewProvider(gooseDialect, pool, steps, options...)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return &Migrator{dialect: dialect, provider: provider, stepped: names, pool: pool, exists: exists, close: func() {}}, nil
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
	if len(results) > 0 && m.dialect == Postgres {
		if err := m.analyze(ctx); err != nil {
			return nil, fmt.Errorf("analyze the migrated tables: %w", err)
		}
	}
	return m.steps(results), nil
}

// analyze renews the statistics of filled tables with indexes on expressions. PostgreSQL has
// none for a new index of this kind until the table changes a lot, and would not use the
// index well until then.
func (m *Migrator) analyze(ctx context.Context) error {
	var tables sql.NullString
	err := m.pool.QueryRowContext(ctx, `
SELECT string_agg(DISTINCT indrelid::regclass::text, ', ') FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
WHERE indexprs IS NOT NULL AND relnamespace = current_schema()::regnamespace AND pg_relation_size(indrelid) > 0`).Scan(&tables)
	if err == nil && tables.Valid {
		_, err = m.pool.ExecContext(ctx, "ANALYZE "+tables.String)
	}
	return err
}

// Down reverts the last migration and returns it, or nothing if none is applied. The data
// in the tables that the migration created is lost. Down fails if a stepped migration was
// begun but not finished.
func (m *Migrator) Down(ctx context.Context) ([]Migration, error) {
	if err := m.refuseNewer(ctx); err != nil {
		return nil, err
	}
	if err := m.refuseUnfinished(ctx); err != nil {
		return nil, err
	}
	result, err := m.provider.Down(ctx)
	switch {
	case errors.Is(err, goose.ErrNoNextVersion):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("revert the last migration: %w", err)
	}
	return m.steps([]*goose.MigrationResult{result}), nil
}

// Status returns all migrations, ordered by version.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	status, err := m.provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the status of the migrations: %w", err)
	}
	all := make([]Migration, 0, len(status))
	for _, s := range status {
		all = append(all, Migration{Version: s.Source.Version, Name: m.name(s.Source), AppliedAt: s.AppliedAt})
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

func (m *Migrator) refuseUnfinished(ctx context.Context) error {
	begun, err := m.has(ctx, stepsTable)
	if err != nil || !begun {
		return err
	}
	have, _, err := m.provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the database's version: %w", err)
	}
	var version int64
	err = m.pool.QueryRowContext(ctx, "SELECT version FROM "+stepsTable+" WHERE version > $1", have).Scan(&version)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err == nil:
		err = fmt.Errorf("migration %d is not finished: apply it first", version)
	}
	return err
}

// has reports whether a table exists.
func (m *Migrator) has(ctx context.Context, table string) (bool, error) {
	var tables int
	err := m.pool.QueryRowContext(ctx, m.exists, table).Scan(&tables)
	return tables > 0, err
}

func (m *Migrator) steps(results []*goose.MigrationResult) []Migration {
	done := make([]Migration, 0, len(results))
	for _, r := range results {
		done = append(done, Migration{Version: r.Source.Version, Name: m.name(r.Source)})
	}
	return done
}

func (m *Migrator) name(s *goose.Source) string {
	if name, ok := m.stepped[s.Version]; ok {
		return name
	}
	return shortName(s.Path)
}

// shortName returns the name of a file without the number and the suffix.
func shortName(file string) string {
	base := strings.TrimSuffix(path.Base(file), ".sql")
	if _, rest, ok := strings.Cut(base, "_"); ok {
		return rest
	}
	return base
}
