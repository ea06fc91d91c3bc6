package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"
)

// session is a database that this process may use, on its way to serving: the
// lock is taken, the migrator is ready.
type session struct {
	migrator *Migrator
	serve    func(ctx context.Context) (backend, error) // takes over what close would close
	close    func()
}

func openSession(ctx context.Context, at location, log *slog.Logger) (*session, error) {
	if at.postgres != nil {
		return openPostgres(ctx, at, log)
	}
	return openSQLite(ctx, at.file, log)
}

// String says where the database is, without credentials.
func (l location) String() string {
	if l.postgres == nil {
		return l.file
	}
	c := l.postgres.ConnConfig
	return c.Host + "/" + c.Database
}

// noConnector stands where a pool needs a connector and connects to nothing.
type noConnector struct{}

func (noConnector) Connect(context.Context) (driver.Conn, error) { return nil, errClosed }
func (noConnector) Driver() driver.Driver                        { return nil }

// statements runs statements that are prepared once and kept by their text.
type statements struct {
	texts  *texts
	direct Querier
}

func (s statements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if st := s.texts.get(ctx, query); st != nil {
		return st.ExecContext(ctx, args...)
	}
	return s.direct.ExecContext(ctx, query, args...)
}

func (s statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if st := s.texts.get(ctx, query); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return s.direct.QueryContext(ctx, query, args...)
}

func (s statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if st := s.texts.get(ctx, query); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return s.direct.QueryRowContext(ctx, query, args...)
}
