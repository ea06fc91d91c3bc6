package database

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/pgtest"
)

// TestSnapshot checks that a snapshot sees the database at one moment while a node writes, on
// SQLite and PostgreSQL.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{
		"SQLite":   func(*testing.T) string { return "" },
		"Postgres": func(t *testing.T) string { t.Helper(); return pgtest.Start(t).NewDatabase(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cfg, dir := t.Context(), Config{URL: url(t)}, t.TempDir()
			nothing := func(context.Context, Querier) error { return nil }
			if err := Snapshot(ctx, cfg, dir, nothing); err == nil || !strings.Contains(err.Error(), "there is no database of Moim") {
				t.Errorf("of nothing: %v", err)
			}
			db, err := Open(cfg, dir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Start(ctx); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Stop(context.WithoutCancel(ctx)) }()
			err = Snapshot(ctx, cfg, dir, func(ctx context.Context, q Querier) error {
				for range 2 {
					n := -1
					if err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM receipts").Scan(&n); err != nil {
						return err
					}
					if n != 0 {
						t.Errorf("it sees %d rows that were written later", n)
					}
					if err := db.Write(ctx, func(ctx context.Context, q Querier) error {
						_, err := q.ExecContext(ctx, "INSERT INTO receipts (user_id, key, request, answer, at) VALUES ('a', 'b', '', '', 0) ON CONFLICT DO NOTHING")
						return err
					}); err != nil {
						return err
					}
				}
				_, err := q.ExecContext(ctx, "DELETE FROM receipts")
				if err == nil {
					t.Error("the snapshot can write")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
