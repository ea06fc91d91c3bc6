package database

import (
	"context"
	"log/slog"
)

// session is a database that is open for migrations and locked for this process. It ends
// with serve or close.
type session struct {
	migrator *Migrator
	serve    func(ctx context.Context) (backend, error)
	close    func()
}

func openSession(ctx context.Context, at location, log *slog.Logger) (*session, error) {
	if at.postgres != nil {
		return openPostgres(ctx, at, log)
	}
	return openSQLite(ctx, at.file, log)
}

// String returns the file, or host/database. It contains no credentials.
func (l location) String() string {
	if l.postgres == nil {
		return l.file
	}
	c := l.postgres.ConnConfig
	return c.Host + "/" + c.Database
}
