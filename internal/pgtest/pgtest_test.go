package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/internal/pgtest"
)

func TestServerComesBackWithWhatWasCommitted(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, "max_connections = 30")
	url := s.NewDatabase(t)
	if other := s.NewDatabase(t); other == url {
		t.Fatalf("two databases at %s", url)
	}
	for _, end := range []func(){s.Kill, s.Stop} {
		query(t, url, "CREATE TABLE IF NOT EXISTS t (n INT)", nil)
		query(t, url, "INSERT INTO t VALUES (1)", nil)
		end()
		end()
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.Close(t.Context())
			t.Fatal("a server that was ended answered")
		}
		s.Restart()
	}
	var n, limit int
	query(t, url, "SELECT count(*) FROM t", &n)
	query(t, url, "SELECT current_setting('max_connections')::int", &limit)
	if n != 2 || limit != 30 {
		t.Errorf("%d rows and %d connections, want 2 and 30", n, limit)
	}
}

func query(t *testing.T, url, statement string, result any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if result == nil {
		_, err = conn.Exec(t.Context(), statement)
	} else {
		err = conn.QueryRow(t.Context(), statement).Scan(result)
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
