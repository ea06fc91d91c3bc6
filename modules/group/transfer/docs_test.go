package transfer_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/transfer"
)

// blocks returns the code blocks in docs/import.md that have the given language.
func blocks(t *testing.T, language string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "import.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		found = append(found, b[1])
	}
	if len(found) == 0 {
		t.Fatalf("docs/import.md has no block of %s", language)
	}
	return found
}

// TestDocumentedSQL checks that the SQL of docs/import.md writes lines that can be
// imported.
func TestDocumentedSQL(t *testing.T) {
	t.Parallel()
	db := servicetest.OpenDatabase(t, servicetest.NewPostgres(t))
	var lines []string
	err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
		lines = nil
		for _, statement := range []string{
			`CREATE TABLE rooms (id BIGINT, title TEXT, owner_id BIGINT, created_at TIMESTAMPTZ, is_public BOOLEAN)`,
			`CREATE TABLE room_users (room_id BIGINT, user_id BIGINT, nickname TEXT, is_moderator BOOLEAN, joined_at TIMESTAMPTZ)`,
			`CREATE TABLE posts (id BIGINT, room_id BIGINT, user_id BIGINT, body TEXT, posted_at TIMESTAMPTZ)`,
			`INSERT INTO rooms VALUES (1, 'Line' || chr(34) || '1', 7, '2024-01-02 03:04:05.678+02', TRUE), (2, 'Two', 8, '2024-01-02', FALSE)`,
			`INSERT INTO room_users VALUES (1, 7, 'Ana', TRUE, '2024-01-03'), (1, 8, NULL, TRUE, '2024-01-03'), (2, 8, 'Bo', FALSE, NULL)`,
			`INSERT INTO posts VALUES (2, 1, 8, 'second' || chr(10), '2024-01-05'), (1, 1, 7, 'first', '2024-01-04'), (3, 2, 8, 'third', '2024-01-01')`,
		} {
			if _, err := q.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		for query := range strings.SplitSeq(strings.Join(blocks(t, "sql"), ""), ";") {
			if strings.TrimSpace(query) == "" {
				continue
			}
			rows, err := q.QueryContext(ctx, query)
			if err != nil {
				return err
			}
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					return err
				}
				lines = append(lines, line)
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := importText(t, sqlstore.New(db), strings.Join(lines, "\n")), (transfer.Counts{Groups: 2, Members: 3, Messages: 3}); got != want {
		t.Errorf("written %+v, want %+v", got, want)
	}
	mustCount(t, db)
}

// TestDocumentedLines checks that the lines in docs/import.md can be imported.
func TestDocumentedLines(t *testing.T) {
	t.Parallel()
	if mistakes, report := check(t, strings.Join(blocks(t, "json"), "")); len(mistakes) > 0 || report.Counts.All() != 5 {
		t.Errorf("%+v: %v", report.Counts, mistakes)
	}
}

// TestDocumentedRooms checks that the JavaScript of docs/import.md exports the rooms of a
// server, and derives the same ids.
func TestDocumentedRooms(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI is set, and there is no node")
		}
		t.Skip("there is no node")
	}
	dir := t.TempDir()
	const server = `const socket = (id, userId, name, ...rooms) => ({ id, rooms: new Set([id, ...rooms]), data: { userId, name } });
const io = { fetchSockets: async () => [socket("s1", "ana", "Ana", "lobby", "chess"), socket("s2", "bo", "Bo", "lobby"), socket("s3", "ana", "Ana", "lobby")] };
`
	script := server + strings.Join(blocks(t, "js"), "\n") + "\nconsole.log(groupId(\"lobby\"), groupId(\"저녁 모임\"));\n"
	if err := os.WriteFile(filepath.Join(dir, "rooms.mjs"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "rooms.mjs")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if want := transfer.GroupID("lobby") + " " + transfer.GroupID("저녁 모임") + "\n"; err != nil || string(out) != want {
		t.Errorf("node prints %s, %v; want %s", out, err, want)
	}
	text, err := os.ReadFile(filepath.Join(dir, "rooms.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"group":{"id":"lobby","name":"lobby","ownerId":"ana"}}
{"member":{"groupId":"lobby","userId":"ana","name":"Ana"}}
{"member":{"groupId":"lobby","userId":"bo","name":"Bo"}}
{"group":{"id":"chess","name":"chess","ownerId":"ana"}}
{"member":{"groupId":"chess","userId":"ana","name":"Ana"}}
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if mistakes, _ := check(t, string(text)); len(mistakes) > 0 {
		t.Error(mistakes)
	}
}
