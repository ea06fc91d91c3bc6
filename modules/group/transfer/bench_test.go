package transfer_test

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/transfer"
)

var config = transfer.Config{Groups: group.Config{}.WithDefaults(), File: "rooms.jsonl", By: "os:ops"}

// checkFile checks a file. It fails the test if the file has mistakes.
func checkFile(t *testing.T, store transfer.Store, text string, dry bool) *transfer.Importer {
	t.Helper()
	cfg := config
	cfg.Dry = dry
	im := transfer.New(cfg, store, strings.NewReader(text)).InSteps(7)
	report, err := im.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Wrong > 0 {
		t.Fatalf("mistakes: %v", report.Mistakes)
	}
	return im
}

// importText imports a file and returns the counts of what was written.
func importText(t *testing.T, store transfer.Store, text string) transfer.Counts {
	t.Helper()
	tried, err := checkFile(t, store, text, true).Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	written, err := checkFile(t, store, text, false).Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tried != written {
		t.Errorf("a dry run says %+v, and the import wrote %+v", tried, written)
	}
	return written
}

// exportAll exports all groups of a database, or one group.
func exportAll(t *testing.T, db *database.DB, groupID string) string {
	t.Helper()
	var out bytes.Buffer
	encoder := transfer.NewEncoder(&out)
	err := db.ReadTx(t.Context(), func(ctx context.Context, q database.Querier) error {
		return sqlstore.Export(ctx, q, groupID, time.Now(), encoder.Put)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := encoder.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var versions = regexp.MustCompile(`,"version":\d+`)

// contents returns an export without the versions, which an import does not keep.
func contents(t *testing.T, db *database.DB) string {
	t.Helper()
	return versions.ReplaceAllString(exportAll(t, db, ""), "")
}

// number returns the result of a query for one number.
func number(t *testing.T, db *database.DB, query string, a ...any) (n int64) {
	t.Helper()
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, query, a...).Scan(&n)
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// wrong has queries that count inconsistent rows.
var wrong = map[string]string{
	"members of groups": `SELECT COUNT(*) FROM groups g WHERE member_count <> (SELECT COUNT(*) FROM members WHERE group_id = g.id)`,
	"sizes of groups":   `SELECT COUNT(*) FROM groups g WHERE deleted_at IS NULL AND member_count <> COALESCE((SELECT members FROM group_sizes WHERE group_id = g.id), -1)`,
	"groups of users": `SELECT COUNT(*) FROM (SELECT m.user_id, COUNT(*) AS joined, COUNT(CASE WHEN m.role = 'owner' THEN 1 END) AS owned FROM members m
		JOIN groups g ON g.id = m.group_id WHERE g.deleted_at IS NULL GROUP BY m.user_id) n
		FULL JOIN user_locks u ON u.user_id = n.user_id WHERE COALESCE(n.joined, 0) <> COALESCE(u.joined, 0) OR COALESCE(n.owned, 0) <> COALESCE(u.owned, 0)`,
	"owners": `SELECT COUNT(*) FROM groups g WHERE 1 <> (SELECT COUNT(*) FROM members WHERE group_id = g.id AND role = 'owner')
		OR NOT EXISTS (SELECT 1 FROM members WHERE group_id = g.id AND role = 'owner' AND user_id = g.owner_id)`,
	"versions": `SELECT COUNT(*) FROM groups g WHERE version <> (SELECT COUNT(*) FROM events WHERE group_id = g.id)
		OR version <> (SELECT MAX(version) FROM events WHERE group_id = g.id) OR revision > version`,
	"times":    `SELECT COUNT(*) FROM events e JOIN events f ON f.group_id = e.group_id AND f.version = e.version + 1 WHERE f.at < e.at`,
	"messages": `SELECT COUNT(*) FROM groups g WHERE messages <> (SELECT COUNT(*) FROM events WHERE group_id = g.id AND type = 'message.posted')`,
	"messages of events": `SELECT COUNT(*) FROM events e WHERE messages <>
		(SELECT COUNT(*) FROM events WHERE group_id = e.group_id AND version <= e.version AND type = 'message.posted')`,
	"heads": `SELECT COUNT(*) FROM groups g WHERE NOT EXISTS (SELECT 1 FROM heads WHERE group_id = g.id AND moved_at >= g.moved_at - 1000000)`,
	"traces": `SELECT COUNT(*) FROM (SELECT group_id, user_id FROM members UNION SELECT group_id, user_id FROM bans) u
		WHERE NOT EXISTS (SELECT 1 FROM traces WHERE group_id = u.group_id AND user_id = u.user_id)`,
	"read marks": `SELECT COUNT(*) FROM members m JOIN groups g ON g.id = m.group_id WHERE m.read_version > g.version OR m.read_messages > g.messages`,
	"timers":     `SELECT COUNT(*) FROM groups WHERE (ends_at IS NOT NULL AND ended_at IS NULL) <> (next_at IS NOT NULL)`,
}

// mustCount fails the test if the database has inconsistent counts.
func mustCount(t *testing.T, db *database.DB) {
	t.Helper()
	for what, query := range wrong {
		if n := number(t, db, query); n != 0 {
			t.Errorf("%s: %d are wrong", what, n)
		}
	}
}
