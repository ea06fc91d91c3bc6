package database_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/database"
)

func TestURLsAreUnderstood(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]database.Dialect{
		"":                              database.SQLite,
		"sqlite:moim.db":                database.SQLite,
		"sqlite:/var/lib/moim/m.db":     database.SQLite,
		"sqlite:///var/lib/moim/m.db":   database.SQLite,
		"postgres://localhost/moim":     database.Postgres,
		"postgresql://u:p%2Fw@h:1/moim": database.Postgres,
		"postgres://h1,h2/moim?target_session_attrs=read-write&pool_max_conns=3": database.Postgres,
	} {
		cfg := database.Config{URL: url}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		db, err := database.Open(cfg, t.TempDir(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if db.Dialect() != want {
			t.Errorf("%s: %s, want %s", url, db.Dialect(), want)
		}
	}
}

func TestBadURLsAreRefusedWithoutTheirPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"moim.db", "sqlite:", "sqlite::memory:", "sqlite://host/file", "mysql://u:hunter2@h/db", "u:hunter2@h/db", "hunter2",
		"postgres:u:hunter2@h/db", "postgres://u:hunter2#@h:port/db", "postgres://u:hun/hunter2@h/db", "postgres://u:hunter2@h:x/db",
		"postgres://u:hunter2%zz@h/db", "postgres://u:hunter2@h/db?sslmode=hunter2", "postgres://u:hunter2@h/db?pool_max_conns=hunter2",
	} {
		cfg := database.Config{URL: url}
		_, err := database.Open(cfg, t.TempDir(), slog.New(slog.DiscardHandler))
		for _, err := range []error{err, cfg.Validate()} {
			contains(t, err, "database.url")
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v shows the password", err)
			}
		}
	}
}
