package e2e

import (
	"database/sql"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// check runs moim check and returns what it printed.
func (n *node) check() (string, error) {
	n.t.Helper()
	out, err := n.command("check").CombinedOutput()
	return string(out), err
}

// TestCheckOfAnEmptyDirectory checks that moim check finds no fault before the first start, and
// creates no file.
func TestCheckOfAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	out, err := n.check()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, says := range []string{"http.addr", "is free", "development secret", "the first start creates the tables", "in this process"} {
		if !strings.Contains(out, says) {
			t.Errorf("moim check does not print %q:\n%s", says, out)
		}
	}
	if left, err := os.ReadDir(n.dir); err != nil || len(left) > 0 {
		t.Errorf("moim check created %v, %v", left, err)
	}
}

// TestCheckBesideANode checks that moim check works while a node has the SQLite file open.
func TestCheckBesideANode(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	if out, err := n.command("check", "--ready").CombinedOutput(); err != nil {
		t.Errorf("of a node that is ready: %v\n%s", err, out)
	}
	if out, err := newNode(t).command("check", "--ready").CombinedOutput(); err == nil {
		t.Errorf("without a node:\n%s", out)
	}
	if out, err := n.check(); err != nil || !strings.Contains(out, "the tables are up to date") || !strings.Contains(out, "ok    http.addr      the node ") {
		t.Errorf("%v\n%s", err, out)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if out, err := n.command("check", "--http-addr", other.Addr().String()).CombinedOutput(); err == nil || !strings.Contains(string(out), "fail  http.addr") {
		t.Errorf("where another program listens: %v\n%s", err, out)
	}
}

// TestCheckOfServers checks that moim check tests the servers that a node would use.
func TestCheckOfServers(t *testing.T) {
	t.Parallel()
	address, redis := pgtest.Start(t).NewDatabase(t), redistest.Start(t)
	n := newNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_DATABASE_URL="+address, "MOIM_REDIS_URL="+redis.URL())
	out, err := n.check()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, says := range []string{"PostgreSQL 1", "the first start creates the tables", "round trip", "node.url is empty"} {
		if !strings.Contains(out, says) {
			t.Errorf("moim check does not print %q:\n%s", says, out)
		}
	}
	if n.run(); n.ready() != nil {
		t.Fatal(n.ready())
	}
	if out, err := n.check(); err != nil || !strings.Contains(out, "the tables are up to date") {
		t.Errorf("%v\n%s", err, out)
	}

	admin, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Exec("INSERT INTO moim_migrations (version_id, is_applied) VALUES (9999, true)"); err != nil {
		t.Fatal(err)
	}
	if out, err := n.check(); err == nil || !strings.Contains(out, "upgrade moim") {
		t.Errorf("of a newer database: %v\n%s", err, out)
	}
	if _, err := admin.Exec("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$"); err != nil {
		t.Fatal(err)
	}
	if out, err := n.check(); err == nil || !strings.Contains(out, "read-only") {
		t.Errorf("of a read-only database: %v\n%s", err, out)
	}
}

// TestCheckFindsWhatIsBroken checks that each fault has its own line. The line must name the
// fault and show no secret.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	keys := httptest.NewServer(http.NotFoundHandler())
	defer keys.Close()
	n := newNode(t, "MOIM_AUTH_JWKS_URL="+keys.URL, "MOIM_DATABASE_URL=postgres://moim:hunter2@127.0.0.1:1/moim", "MOIM_REDIS_URL=redis://:hunter3@127.0.0.1:1")
	out, err := n.check()
	if err == nil {
		t.Error("moim check succeeds")
	}
	for _, says := range []string{"fail  tokens", "404", "fail  database", "fail  redis.socket", "fail  redis.group", "fail  redis.cache"} {
		if !strings.Contains(out, says) {
			t.Errorf("moim check does not print %q:\n%s", says, out)
		}
	}
	if strings.Contains(out, "hunter") {
		t.Errorf("moim check prints a secret:\n%s", out)
	}

	damaged := newNode(t)
	file := filepath.Join(damaged.dir, "moim.db")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged.env = append(damaged.env, "MOIM_DATABASE_URL=sqlite:"+file)
	if out, err := damaged.check(); err == nil || !strings.Contains(out, "fail  database") {
		t.Errorf("of a damaged file: %v\n%s", err, out)
	}
}

// TestCheckWarnsOfForeignTokens checks that moim check and a starting node warn of a key set that
// serves many applications.
func TestCheckWarnsOfForeignTokens(t *testing.T) {
	t.Parallel()
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	}))
	defer keys.Close()
	n := newNode(t, "MOIM_AUTH_JWKS_URL="+keys.URL)
	if out, err := n.check(); err != nil || !strings.Contains(out, "auth.audience") {
		t.Errorf("%v\n%s", err, out)
	}
	n.run()
	if err := n.ready(); err != nil || !strings.Contains(n.log.String(), "set auth.audience or auth.issuer") {
		t.Errorf("no warning at the start, %v", err)
	}
}
