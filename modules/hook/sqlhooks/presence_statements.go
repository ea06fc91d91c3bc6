package sqlhooks

import (
	"fmt"
	"strings"

	"github.com/moim-live/moim/modules/database"
)

type presenceStatements struct {
	lock, lockHead, report, move, spread string
	check, removed, empty, done          string
}

const (
	presenceTurn = `group_id, claim, version, upto, attempts`
	// choosing is the condition that a hook chose presence.
	choosing = `h.deleted_at IS NULL AND h.presence = TRUE`

	told         = `SELECT user_id, online, at, seen_at FROM hook_presence WHERE group_id = $1`
	readPresence = `SELECT user_id, n, online, at FROM hook_presence WHERE group_id = $1 AND n > $2 AND n <= $3 ORDER BY n LIMIT $4`
	finished     = `DELETE FROM hook_presence_groups WHERE ` + ofTurn
	// needless deletes users who are offline and about whom all hooks have been told.
	needless = `DELETE FROM hook_presence WHERE group_id = $1 AND online = FALSE
		AND n <= COALESCE((SELECT MIN(version) FROM hook_presence_groups WHERE group_id = $1), n)`
	endPresence   = `DELETE FROM hook_presence_groups WHERE hook_id = $1`
	otherPresence = `SELECT COUNT(*) FROM hooks h WHERE ` + choosing + ` AND h.id <> $1`
	lockPresence  = `LOCK TABLE hook_presence_heads IN SHARE ROW EXCLUSIVE MODE`
)

// wipe removes all data that is kept for hooks that chose presence.
var wipe = []string{`DELETE FROM hook_presence_groups`, `DELETE FROM hook_presence`, `DELETE FROM hook_presence_heads`}

func newPresenceStatements(d database.Dialect) presenceStatements {
	now := d.Now()
	reports, heads := rowsOf(d, "g TEXT, u TEXT, n BIGINT, o BOOLEAN, a BIGINT, s BIGINT"), rowsOf(d, "g TEXT, b BIGINT, h BIGINT")
	return presenceStatements{
		lock: `INSERT INTO hook_presence_heads (group_id, head, check_at) SELECT g.id, 0, ` + now + ` FROM groups g
			WHERE g.id ` + oneOf(d) + ` AND EXISTS (SELECT 1 FROM hooks h WHERE ` + choosing + `) ORDER BY g.id
			ON CONFLICT (group_id) DO UPDATE SET head = hook_presence_heads.head RETURNING group_id, head, ` + now,
		lockHead: `SELECT head FROM hook_presence_heads h WHERE group_id = $1` + d.ForUpdate("h"),
		report: `INSERT INTO hook_presence (group_id, user_id, n, online, at, seen_at) SELECT i.g, i.u, i.n, i.o, i.a, i.s FROM ` + reports + ` WHERE TRUE
			ON CONFLICT (group_id, user_id) DO UPDATE SET
			n = CASE WHEN hook_presence.online = excluded.online THEN hook_presence.n ELSE excluded.n END,
			at = CASE WHEN hook_presence.online = excluded.online THEN hook_presence.at ELSE excluded.at END,
			online = excluded.online, seen_at = excluded.seen_at
			WHERE hook_presence.seen_at <= excluded.seen_at RETURNING group_id, n`,
		move: `UPDATE hook_presence_heads SET head = i.h FROM ` + heads + ` WHERE group_id = i.g`,
		spread: fmt.Sprintf(`INSERT INTO hook_presence_groups (group_id, hook_id, version, head, upto, due_at, behind_at, claim, claimed, attempts, unreachable, status, problem)
			SELECT i.g, h.id, i.b, i.h, 0, %[1]s, %[1]s, %[1]s, FALSE, 0, FALSE, 0, '' FROM %[2]s CROSS JOIN hooks h WHERE `+choosing+`
			ORDER BY i.g, h.id ON CONFLICT (group_id, hook_id) DO UPDATE SET head = excluded.head`, now, heads),
		check: `UPDATE hook_presence_heads SET check_at = ` + now + ` + $2 WHERE ` +
			someOf(d, "group_id", `FROM hook_presence_heads WHERE check_at <= (SELECT `+now+`) ORDER BY check_at LIMIT $1`) + ` RETURNING group_id`,
		removed: `DELETE FROM hook_presence WHERE group_id ` + oneOf(d) + ` AND NOT EXISTS (SELECT 1 FROM groups g WHERE g.id = hook_presence.group_id)`,
		// While head is ahead of the clock, a new row could begin with a smaller one.
		empty: `DELETE FROM hook_presence_heads WHERE group_id ` + oneOf(d) + ` AND head <= ` + now + `
			AND NOT EXISTS (SELECT 1 FROM hook_presence p WHERE p.group_id = hook_presence_heads.group_id)
			AND NOT EXISTS (SELECT 1 FROM hook_presence_groups p WHERE p.group_id = hook_presence_heads.group_id)`,
		done: fmt.Sprintf(`UPDATE hook_presence_groups SET version = CAST($4 AS BIGINT), attempts = 0, failed_at = NULL, unreachable = FALSE, status = $5, problem = '',
			upto = CASE WHEN CAST($6 AS BIGINT) = 0 THEN 0 ELSE head END, due_at = %[1]s + CAST($6 AS BIGINT), behind_at = %[1]s, claimed = CAST($6 AS BIGINT) > 0
			WHERE `+ofTurn+` AND head > CAST($4 AS BIGINT) RETURNING `+presenceTurn, now),
	}
}

// rowsOf returns a table i with columns of these names and types. Its rows come from a JSON
// list of objects, the first parameter.
func rowsOf(d database.Dialect, columns string) string {
	if d == database.Postgres {
		return `jsonb_to_recordset(CAST($1 AS jsonb)) AS i(` + strings.ReplaceAll(columns, "TEXT", `TEXT COLLATE "C"`) + `)`
	}
	var list []string
	for column := range strings.SplitSeq(columns, ", ") {
		name, _, _ := strings.Cut(column, " ")
		list = append(list, fmt.Sprintf(`json_extract(value, '$.%[1]s') AS %[1]s`, name))
	}
	return `(SELECT ` + strings.Join(list, ", ") + ` FROM json_each($1)) i`
}
