package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// grown is a database with many groups, and some that are large.
type grown struct {
	db     *database.DB
	bulk   *sql.DB // another connection to the database, to insert many rows at once
	store  *sqlstore.Store
	groups int

	joined  int    // groups of the user "many", who is also in as many deleted groups
	members int    // of the group x-crowd
	events  int    // of the group x-log
	added   int    // number of users who are in 50 groups each
	crowd   string // ids of the two large groups
	log     string
	ids     []string // ids of some small groups
}

// fillStep is the number of rows that are inserted in one transaction.
const fillStep = 100_000

// openBulk opens the database at url, or the SQLite file of db. Its statements have no
// deadline, and commits do not wait for the disk.
func openBulk(t *testing.T, db *database.DB, url string) *sql.DB {
	t.Helper()
	driver, settings := "pgx", []string{`SET synchronous_commit = off`, `SET work_mem = '64MB'`, `SET maintenance_work_mem = '128MB'`}
	if url == "" {
		driver, settings = "sqlite", []string{`PRAGMA synchronous = OFF`, `PRAGMA cache_size = -65536`, `PRAGMA busy_timeout = 10000`}
		err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&url)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	bulk, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bulk.Close() })
	bulk.SetMaxOpenConns(1) // the settings apply only to this connection
	for _, setting := range settings {
		if _, err := bulk.ExecContext(t.Context(), setting); err != nil {
			t.Fatalf("%s: %v", setting, err)
		}
	}
	return bulk
}

// fill inserts n rows. The statement selects from n(i), the numbers 1 to n.
func (g *grown) fill(t *testing.T, n int, statement string, a ...any) {
	t.Helper()
	began := time.Now()
	for from := 1; from <= n; from += fillStep {
		_, err := g.bulk.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT CAST($1 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < $2) `+statement,
			append([]any{from, min(from+fillStep-1, n)}, a...)...)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Logf("    %8d rows in %6s: %.60s", n, took.Round(100*time.Millisecond), statement)
	}
}

const (
	growGroups = `INSERT INTO groups (id, name, search, description, visibility, join_policy, attributes, member_count, owner_id,
			version, revision, created_at, updated_at, moved_at, deleted_at)
		SELECT CAST($3 AS TEXT) || (10000000 + i), name || i, name || i, '',
			CASE WHEN i % 10 = 7 THEN 'private' ELSE 'public' END, 'open', '{}', 2, 'owner-' || i,
			1, 1, 0, 0, i, CAST($5 AS BIGINT) FROM (SELECT i,
			CASE i % 10 WHEN 1 THEN 'study room ' WHEN 2 THEN '저녁 모임 ' ELSE CAST($4 AS TEXT) END AS name FROM n) named`
	growMembers = `INSERT INTO members (group_id, user_id, name, role, attributes, joined_at, live)
		SELECT %s, %s, '', 'member', '{}', 0, %s FROM n`
	growEvents = `INSERT INTO events (group_id, version, type, data, at, messages)
		SELECT %s, %s, 'message.posted', '{"text":"a message of a usual length, for a log that is long"}', 0, i FROM n`
)

// grow fills a database with n groups.
func grow(t *testing.T, db *database.DB, url string, n int) *grown {
	t.Helper()
	g := &grown{
		db: db, bulk: openBulk(t, db, url), store: sqlstore.New(db), groups: n,
		joined: min(10_000, n/2), members: min(100_000, n), events: min(1_000_000, 10*n), added: 500,
		crowd: "x-crowd", log: "x-log",
	}
	now := time.Now().UnixMicro()
	// Some words are in a tenth of the names, and one word is in many names of old groups.
	g.fill(t, n/5, growGroups, "a-", "vintage cars ", nil)
	g.fill(t, n-n/5, growGroups, "c-", "the team of ", nil)
	g.fill(t, g.joined, growGroups, "d-", "deleted ", now)
	g.fill(t, 3, growGroups, "b-", "quokka zoo ", nil)
	g.fill(t, 1, `INSERT INTO groups (id, name, search, description, visibility, join_policy, attributes, member_count, owner_id,
			version, revision, created_at, updated_at, moved_at)
		SELECT x, x, x, '', 'private', 'open', '{}', $4, 'nobody', $3, 1, 0, 0, 0 FROM n, (SELECT 'x-crowd' AS x UNION ALL SELECT 'x-log') v`, g.events, g.members)
	g.fill(t, n-n/5, fmt.Sprintf(growMembers, `'c-' || (10000000 + i)`, `'owner-' || i`, `TRUE`))
	g.fill(t, n-n/5, fmt.Sprintf(growEvents, `'c-' || (10000000 + i)`, `1`))
	g.fill(t, g.joined, fmt.Sprintf(growMembers, `'c-' || (10000000 + i)`, `'many'`, `TRUE`))
	g.fill(t, g.joined, fmt.Sprintf(growMembers, `'d-' || (10000000 + i)`, `'many'`, `FALSE`))
	g.fill(t, g.members, fmt.Sprintf(growMembers, `'x-crowd'`, `'in-' || i`, `TRUE`))
	g.fill(t, g.events, fmt.Sprintf(growEvents, `'x-log'`, `i`))
	for range 50 {
		id := create(t, g.store)
		g.ids = append(g.ids, id)
		g.fill(t, g.added, fmt.Sprintf(growMembers, `$3`, `'added-' || i`, `TRUE`), id)
	}
	g.fill(t, n, `INSERT INTO bans (group_id, user_id, reason, actor, at) SELECT 'c-' || (10000000 + 1 + i / 10), 'banned-' || i, '', '', 0 FROM n`)
	g.fill(t, n, `INSERT INTO mutes (group_id, user_id, actor, at) SELECT 'c-' || (10000000 + 1 + i / 10), 'muted-' || i, '', 0 FROM n`)
	g.fill(t, n, `INSERT INTO requests (group_id, user_id, name, at) SELECT 'c-' || (10000000 + 1 + i / 10), 'asks-' || i, '', 0 FROM n`)
	g.fill(t, n, `INSERT INTO invitations (group_id, user_id, invited_by, at, expires_at)
		SELECT 'c-' || (10000000 + 1 + i / 10), 'invited-' || i, '', 0, CAST($3 AS BIGINT) + 1 + i FROM n`, now+time.Hour.Microseconds())
	g.fill(t, n, `INSERT INTO departures (group_id, user_id) SELECT 'c-' || (10000000 + 1 + i / 10), 'left-' || i FROM n`)
	g.fill(t, n, `INSERT INTO invites (id, group_id, code_hash, uses, created_by, created_at)
		SELECT 'i-' || i, 'c-' || (10000000 + 1 + i / 10), 'hash-' || i, 0, '', 0 FROM n`)
	g.fill(t, n, `INSERT INTO receipts (user_id, key, request, answer, at) SELECT 'many', 'key-' || i, '', '{}', $3 FROM n`, now)
	g.fill(t, n, `INSERT INTO receipt_users (user_id, owner, key) SELECT 'owner-' || i / 2, 'many', 'key-' || i FROM n`)
	g.fill(t, n, `INSERT INTO renames (user_id, id, name, actor, before, until)
		SELECT 'renamed-' || i, 'job-' || i, '', '', '', CAST($3 AS BIGINT) + i FROM n`, now+time.Hour.Microseconds())
	g.fill(t, n, `INSERT INTO audit (id, at, actor, via, action, group_id, user_id, before, after, request_id)
		SELECT CAST(20000000 + i AS TEXT) || '-0000', 0, 'backend', 'api', 'update', 'c-' || (10000000 + 1 + i / 10), 'user-' || i, '{}', '{}', '' FROM n`)
	g.fill(t, n, `INSERT INTO audit_users (user_id, entry_id) SELECT 'named-' || i, CAST(20000000 + i AS TEXT) || '-0000' FROM n`)
	g.fill(t, n, `INSERT INTO erasures (id, user_id, stage, place, version, until, started_at, finished_at)
		SELECT 'job-' || i, CASE WHEN i % 2 = 0 THEN 'erased-' || i END, 0, '', 0, CAST($3 AS BIGINT) + i, 0, CASE WHEN i % 2 = 1 THEN CAST($3 AS BIGINT) + i END
		FROM n`, now+time.Hour.Microseconds())
	g.fill(t, n-n/5, `INSERT INTO group_attributes (key, value, group_id) SELECT 'game', 'chess', 'c-' || (10000000 + i) FROM n`)
	g.fill(t, n-n/5, `INSERT INTO group_attributes (key, value, group_id) SELECT 'level', CAST(i % 1000 AS TEXT), 'c-' || (10000000 + i) FROM n`)
	g.fill(t, n, `INSERT INTO hook_groups (group_id, hook_id, version, head, upto, claim, claimed, attempts, unreachable, status, problem, gap)
		SELECT 'c-' || (10000000 + i), 'hook', 1, 1, 0, 1, FALSE, 0, FALSE, 0, '', FALSE FROM n`)
	g.fill(t, n, `INSERT INTO hook_presence_groups (group_id, hook_id, version, head, upto, due_at, behind_at, claim, claimed, attempts, unreachable, status, problem)
		SELECT 'c-' || (10000000 + i), 'hook', 1, 1, 0, 1, 1, 1, FALSE, 0, FALSE, 0, '' FROM n`)
	g.fill(t, n, `INSERT INTO hook_presence (group_id, user_id, n, online, at, seen_at) SELECT 'c-' || (10000000 + i), 'present', 1, TRUE, 1, 1 FROM n`)
	g.fill(t, 200, `INSERT INTO outbox (group_id, version, created_at) SELECT 'x-log', i, i FROM n`)
	return g
}
