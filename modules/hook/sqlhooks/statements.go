package sqlhooks

import (
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/hook"
)

type statements struct {
	lock, insert, byName, change, remove, pause, disable string // hooks

	take, spread       string
	next, done, rewind string
	resume, resumeOne  [2]string // of events, and of presence
	scanning, scan     string
}

const (
	hookColumns = `id, name, source, url, events, secret, secret_before, rotated_at, since_at, enabled, problem, created_at, updated_at`
	turnColumns = `group_id, claim, version, upto, attempts, gap, seek_at, seek_version`
	// seeks is the condition that a group's position must move first.
	seeks = `(seek_at IS NOT NULL OR seek_version IS NOT NULL)`
	// ofTurn is the condition that a row is that of a turn whose claim has not ended.
	ofTurn = `group_id = $1 AND hook_id = $2 AND claim = $3 AND claimed = TRUE`
	// newRow has the values of a new row, after the ids of the group and the hook.
	newRow = `0, g.version, 0, %[1]s, %[1]s, 0, FALSE, 0, FALSE, 0, '', FALSE`
	// insertRows is the beginning of an insert of rows. The selected columns must end with
	// seek_at.
	insertRows = `INSERT INTO hook_groups (group_id, hook_id, version, head, upto, due_at, behind_at, claim, claimed, attempts, unreachable, status, problem, gap, `

	hooks    = `SELECT ` + hookColumns + ` FROM hooks WHERE deleted_at IS NULL ORDER BY name`
	read     = `SELECT version, type, actor, data, at FROM events WHERE group_id = $1 AND version > $2 AND version <= $3 ORDER BY version LIMIT $4`
	first    = `SELECT version FROM events WHERE group_id = $1 AND version > $2 ORDER BY version LIMIT 1`
	known    = `SELECT version FROM groups WHERE id = $1`
	before   = `SELECT version FROM events WHERE group_id = $1 AND at < $2 ORDER BY version DESC LIMIT 1`
	drop     = `DELETE FROM hook_groups WHERE ` + ofTurn
	scanned  = `UPDATE hooks SET scan_after = $2 WHERE id = $1`
	scanAll  = `UPDATE hooks SET scan_after = '', scan_since = $2 WHERE id = $1`
	clear    = `DELETE FROM hook_groups WHERE group_id > $2 AND group_id <= $3 AND hook_id = $1`
	clearEnd = `SELECT MAX(group_id) FROM (SELECT group_id FROM hook_groups WHERE group_id > $1 ORDER BY group_id LIMIT $2) g`
	cleared  = `DELETE FROM hooks WHERE id = $1`
	waiting  = `SELECT COUNT(*), MIN(behind_at) FROM (SELECT behind_at FROM %s WHERE hook_id = $1 AND due_at IS NOT NULL AND due_at < $2 ORDER BY due_at LIMIT $3) g`
	parking  = `SELECT COUNT(*) FROM (SELECT 1 FROM %s WHERE hook_id = $1 AND due_at = $2 LIMIT $3) g`

	statusColumns = `group_id, version, head, due_at, behind_at, claimed, attempts, parked_at, status, problem`
	// Within a group, presence comes first.
	groups = `SELECT * FROM (SELECT * FROM (SELECT FALSE AS presence, head - version AS lag, ` + statusColumns + ` FROM hook_groups
		WHERE hook_id = $1 AND due_at IS NOT NULL AND (due_at, group_id) <= ($2, $3) AND ($5 = TRUE OR (due_at, group_id) < ($2, $3)) ORDER BY due_at DESC, group_id DESC LIMIT $4) e
		UNION ALL SELECT * FROM (SELECT TRUE AS presence, (SELECT COUNT(*) FROM hook_presence p WHERE p.group_id = g.group_id AND p.n > g.version) AS lag, ` + statusColumns + ` FROM hook_presence_groups g
		WHERE hook_id = $1 AND (due_at, group_id) < ($2, $3) ORDER BY due_at DESC, group_id DESC LIMIT $4) p) a
		ORDER BY due_at DESC, group_id DESC, presence DESC LIMIT $4`
)

// The tables of positions.
const (
	eventTable    = "hook_groups"
	presenceTable = "hook_presence_groups"
)

func newStatements(d database.Dialect) statements {
	now, row := d.Now(), fmt.Sprintf(newRow, d.Now())
	rewound := ` ON CONFLICT (group_id, hook_id) DO UPDATE SET seek_at = excluded.seek_at, seek_version = excluded.seek_version,
		head = CASE WHEN hook_groups.head < excluded.head THEN excluded.head ELSE hook_groups.head END,
		due_at = CASE WHEN hook_groups.claimed = TRUE THEN hook_groups.due_at ELSE excluded.due_at END,
		behind_at = COALESCE(hook_groups.behind_at, excluded.behind_at), parked_at = NULL, attempts = 0, failed_at = NULL, unreachable = FALSE`
	s := statements{
		insert: `INSERT INTO hooks (id, name, source, url, events, secret, secret_before, rotated_at, since_at, enabled, problem, paused_until, scan_after, scan_since, created_at, updated_at, presence)
			SELECT $1, $2, $3, $4, $5, $6, '', 0, CASE WHEN $7 = TRUE THEN 0 ELSE ` + now + ` END, TRUE, '', 0, CASE WHEN $7 = TRUE THEN '' END, 0, ` + now + `, ` + now + `, CASE WHEN $8 = TRUE THEN TRUE ELSE FALSE END
			RETURNING ` + hookColumns,
		byName: `SELECT ` + hookColumns + ` FROM hooks h WHERE name = $1 AND deleted_at IS NULL` + d.ForUpdate("h"),
		change: `UPDATE hooks SET url = $2, events = $3, secret = $4, secret_before = $5, rotated_at = CASE WHEN secret <> $4 THEN ` + now + ` ELSE rotated_at END,
			enabled = $6, problem = $7, presence = $8, paused_until = 0, updated_at = ` + now + ` WHERE id = $1 RETURNING ` + hookColumns,
		remove:  `UPDATE hooks SET deleted_at = ` + now + `, scan_after = '' WHERE name = $1 AND deleted_at IS NULL`,
		pause:   `UPDATE hooks SET paused_until = ` + now + ` + $2 WHERE id = $1`,
		disable: `UPDATE hooks SET enabled = FALSE, problem = $2, updated_at = ` + now + ` WHERE id = $1 AND enabled = TRUE`,

		take: `UPDATE heads SET hook_at = NULL WHERE ` + someOf(d, "group_id", `FROM heads WHERE hook_at IS NOT NULL ORDER BY hook_at LIMIT $1`) + ` RETURNING group_id`,
		spread: insertRows + `seek_at) SELECT g.id, h.id, ` + row + `, h.since_at FROM groups g CROSS JOIN hooks h
			WHERE g.id ` + oneOf(d) + ` AND h.deleted_at IS NULL AND g.moved_at >= h.since_at ORDER BY g.id, h.id
			ON CONFLICT (group_id, hook_id) DO UPDATE SET head = excluded.head, due_at = COALESCE(hook_groups.due_at, excluded.due_at),
			behind_at = COALESCE(hook_groups.behind_at, excluded.behind_at) WHERE hook_groups.head < excluded.head`,
		next: fmt.Sprintf(`UPDATE hook_groups SET version = CAST($4 AS BIGINT), seek_at = NULL, seek_version = NULL, gap = FALSE,
			upto = CASE WHEN head > CAST($4 AS BIGINT) + %[1]d THEN CAST($4 AS BIGINT) + %[1]d ELSE head END
			WHERE `+ofTurn+` AND seek_at IS NOT DISTINCT FROM CAST($5 AS BIGINT) AND seek_version IS NOT DISTINCT FROM CAST($6 AS BIGINT) RETURNING `+turnColumns, hook.MaxEvents),
		done: fmt.Sprintf(`UPDATE hook_groups SET version = CAST($4 AS BIGINT), attempts = 0, failed_at = NULL, unreachable = FALSE, status = $5, problem = '', gap = $6,
			upto = CASE WHEN CAST($7 AS BIGINT) = 0 THEN 0 WHEN head > CAST($4 AS BIGINT) + %[1]d THEN CAST($4 AS BIGINT) + %[1]d ELSE head END,
			due_at = CASE WHEN `+seeks+` THEN %[2]s WHEN head > CAST($4 AS BIGINT) THEN %[2]s + CAST($7 AS BIGINT) END,
			behind_at = CASE WHEN `+seeks+` OR head > CAST($4 AS BIGINT) THEN %[2]s END,
			claimed = head > CAST($4 AS BIGINT) AND NOT `+seeks+` AND CAST($7 AS BIGINT) > 0
			WHERE `+ofTurn+` RETURNING claimed, `+turnColumns, hook.MaxEvents, now),
		rewind: insertRows + `seek_at, seek_version) SELECT g.id, CAST($1 AS TEXT), ` + row + `, CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM groups g
			WHERE g.id = $2` + rewound,
		scanning: `SELECT id, scan_after, scan_since, deleted_at IS NOT NULL FROM hooks WHERE scan_after IS NOT NULL AND (deleted_at IS NULL OR deleted_at < ` + now + ` - $1)
			ORDER BY id LIMIT 1`,
		scan: insertRows + `seek_at, seek_version) SELECT g.id, CAST($1 AS TEXT), ` + row + `, CAST($3 AS BIGINT), CAST(NULL AS BIGINT) FROM groups g
			WHERE g.id > $2 AND g.moved_at >= $3 ORDER BY g.id LIMIT $4` + rewound + ` RETURNING group_id`,
	}
	for i, table := range []string{eventTable, presenceTable} {
		s.resume[i] = hurry(d, table) + someOf(d, "group_id, hook_id", `FROM `+table+` WHERE `+later(d)+` ORDER BY due_at LIMIT $2`)
		s.resumeOne[i] = hurry(d, table) + later(d) + ` AND group_id = $2`
	}
	if d == database.Postgres {
		// The lock waits for transactions that write positions, and they wait for it. So a
		// mark is taken either before the hook begins, or also for the hook.
		s.lock = `LOCK TABLE hook_groups IN SHARE ROW EXCLUSIVE MODE`
		s.scanning += ` FOR UPDATE SKIP LOCKED`
	}
	return s
}

// hurry returns the beginning of a statement that makes rows due. later is the condition
// that rows wait for a later attempt and are not claimed.
func hurry(d database.Dialect, table string) string {
	return `UPDATE ` + table + ` SET due_at = ` + d.Now() + `, parked_at = NULL, attempts = 0, failed_at = NULL, unreachable = FALSE WHERE `
}

func later(d database.Dialect) string {
	return `hook_id = $1 AND due_at > (SELECT ` + d.Now() + `) AND claimed = FALSE`
}

// someOf returns the condition that a row is one of those that a query selects by key. On
// PostgreSQL it locks them and skips locked rows.
func someOf(d database.Dialect, key, query string) string {
	if d == database.Postgres {
		return `ctid = ANY (ARRAY(SELECT ctid ` + query + ` FOR UPDATE SKIP LOCKED))`
	}
	return `(` + key + `) IN (SELECT ` + key + ` ` + query + `)`
}

// oneOf returns the condition that a column is in a JSON list of texts, the first
// parameter.
func oneOf(d database.Dialect) string {
	if d == database.Postgres {
		return `= ANY (ARRAY(SELECT jsonb_array_elements_text(CAST($1 AS jsonb))))`
	}
	return `IN (SELECT value FROM json_each($1))`
}
