package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
)

// TestImportSurvivesKill kills an import in the middle while a node runs. The repeated import
// must continue. A connected client must be told, and an export must equal the imported file.
func TestImportSurvivesKill(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).NewDatabase(t)
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_DATABASE_URL="+url)
	ana := api{base: n.URL(), token: mint("ana", time.Hour)}
	var old group
	ana.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "was there"}, &old)
	watching := connect(t, plain, n, "ana", ana.token)
	watching.subscribe(old.ID)

	const rooms, each = 30, 40 // more than one batch of members
	var text strings.Builder
	for i := range rooms {
		fmt.Fprintf(&text, `{"group":{"id":"room-%d","name":"Room %[1]d","ownerId":"owner"}}`+"\n", i)
		for j := range each {
			fmt.Fprintf(&text, `{"member":{"groupId":"room-%d","userId":"user-%d"}}`+"\n", i, j)
		}
		fmt.Fprintf(&text, `{"message":{"groupId":"room-%d","actor":"user-1","data":%[1]d,"at":"2024-01-02T03:04:05Z"}}`+"\n", i)
	}
	fmt.Fprintf(&text, `{"member":{"groupId":"%s","userId":"user-1"}}`+"\n", old.ID)
	file := filepath.Join(n.dir, "rooms.jsonl")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	// The import waits for a group whose row is locked. It is killed while it waits.
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), `SELECT 1 FROM groups WHERE id = $1 FOR UPDATE`, old.ID); err != nil {
		t.Fatal(err)
	}
	count := func(query string) (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	killed := n.command("import", file)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	need(t, soon, "the import waits", func() bool {
		return count(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	})
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if members := count(`SELECT COUNT(*) FROM members`); members <= rooms || members >= rooms*(each+1) {
		t.Fatalf("%d members when it was killed, want some", members)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	for _, wants := range []string{"groups 30 0", "members 1201 0"} {
		out, err := n.command("import", file).CombinedOutput()
		if err != nil {
			t.Fatalf("import again: %v\n%s", err, out)
		}
		if got := strings.Join(strings.Fields(string(out)), " "); !strings.Contains(got, wants) {
			t.Errorf("import again prints %q, want %q", got, wants)
		}
	}
	watching.needVersion(old.ID, 2, soon)
	if members := count(`SELECT COUNT(*) FROM members`); members != rooms*(each+1)+2 {
		t.Errorf("%d members, want %d", members, rooms*(each+1)+2)
	}
	if messages := count(`SELECT COUNT(*) FROM events WHERE type = 'message.posted'`); messages != rooms {
		t.Errorf("%d messages, want %d", messages, rooms)
	}
	if rows := count(`SELECT reltuples::int FROM pg_class WHERE relname = 'members'`); rows < rooms*each {
		t.Errorf("PostgreSQL plans for %d members, so the import has not analyzed the tables", rows)
	}
	user := api{base: n.URL(), token: mint("user-1", time.Hour)}
	var mine struct{ Items []json.RawMessage }
	if user.must(t, http.StatusOK, http.MethodGet, "/me/groups?limit=100", nil, &mine); len(mine.Items) != rooms+1 {
		t.Errorf("user-1 is in %d groups, want %d", len(mine.Items), rooms+1)
	}

	export := filepath.Join(n.dir, "export.jsonl")
	if out, err := n.command("export", export).CombinedOutput(); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	other := newNode(t) // on SQLite
	out, err := other.command("import", export).CombinedOutput()
	if got := strings.Join(strings.Fields(string(out)), " "); err != nil || !strings.Contains(got, "groups 31 31 members 1232 1232") || !strings.Contains(got, "messages 30 30") {
		t.Errorf("move to SQLite: %v\n%s", err, out)
	}
	if out, err := n.command("export", export).CombinedOutput(); err == nil || !strings.Contains(string(out), "name a new file") {
		t.Errorf("an export over a file: %v\n%s", err, out)
	}
}
