package sqlstore

import (
	"fmt"
	"strings"

	"github.com/moim-live/moim/modules/database"
)

// importStatements write batches of an import.
type importStatements struct {
	owners   string // reads the owners of the groups $1
	lock     string // locks the groups $1 in the order of their ids
	states   string // reads the state of the groups $1 for an import
	messages string // reads when the last messages of group $1 were posted
	posted   bulk   // reads messages by their versions
	codes    bulk   // reads the groups of invites by the hashes of their codes

	groups, imports, traces, bans, mutes, invites bulk // insert missing rows
	move, place, owner, ownerDone, mark           bulk // update rows by their keys
}

// lastMessages is the maximum number of messages of one time that are counted, from the
// last one.
const lastMessages = 1000

func newImportStatements(d database.Dialect) importStatements {
	const (
		text, number, truth = "TEXT", "BIGINT", "BOOLEAN"
	)
	is, now := asked{d, "$1", false}.is(), d.Now()
	record := strings.Join(recordColumns, ", ")
	return importStatements{
		owners: `SELECT id, owner_id FROM groups WHERE id` + is,
		lock:   `SELECT id FROM groups g WHERE id` + is + ` AND deleted_at IS NULL ORDER BY id` + d.ForUpdate("g"),
		states: `SELECT g.id, g.owner_id, g.version, g.member_count, g.messages, COALESCE((SELECT at FROM events WHERE group_id = g.id AND version = g.version), 0),
			(SELECT at FROM imports WHERE group_id = g.id), (SELECT n FROM imports WHERE group_id = g.id), (SELECT owner FROM imports WHERE group_id = g.id)
			FROM groups g WHERE g.id` + is,
		messages: fmt.Sprintf(`SELECT at FROM events WHERE group_id = $1 AND type = 'message.posted' AND NOT deleted ORDER BY version DESC LIMIT %d`, lastMessages),
		posted: newBulk(2, func(rows string) string {
			return `SELECT group_id, version, actor, at FROM events WHERE type = 'message.posted' AND (` + rows + `)`
		}, "", " OR "),

		codes: newBulk(1, func(rows string) string {
			return `SELECT code_hash, group_id FROM invites WHERE code_hash IN (` + rows + `)`
		}, "", ", "),

		groups: newBulk(4+len(recordColumns), func(rows string) string {
			return `INSERT INTO groups (id, owner_id, created_at, next_at, ` + record + `, member_count, version, revision, moved_at) VALUES ` + rows +
				` ON CONFLICT (id) DO NOTHING RETURNING id`
		}, ", 1, 1, 1, "+now, ", "),
		imports: newBulk(3, func(rows string) string {
			return `INSERT INTO imports (group_id, source, owner, at, n) VALUES ` + rows
		}, ", 0, 0", ", "),
		traces: newBulk(2, func(rows string) string {
			return `INSERT INTO traces (group_id, user_id) VALUES ` + rows + ` ON CONFLICT (group_id, user_id) DO NOTHING RETURNING group_id, user_id`
		}, "", ", "),
		bans: newBulk(6, func(rows string) string {
			return `INSERT INTO bans (group_id, user_id, reason, expires_at, actor, at) VALUES ` + rows
		}, "", ", "),
		mutes: newBulk(5, func(rows string) string {
			return `INSERT INTO mutes (group_id, user_id, expires_at, actor, at) VALUES ` + rows + ` ON CONFLICT (group_id, user_id) DO NOTHING`
		}, "", ", "),
		invites: newBulk(9, func(rows string) string {
			return `INSERT INTO invites (id, group_id, code_hash, max_uses, uses, expires_at, over_at, created_by, created_at) VALUES ` + rows +
				` ON CONFLICT DO NOTHING RETURNING id`
		}, "", ", "),

		move: typedBulk([]string{text, number, number, number}, func(rows string) string {
			return `UPDATE groups SET version = v.column2, member_count = v.column3, messages = v.column4, moved_at = ` + now + `
				FROM (VALUES ` + rows + `) v WHERE id = v.column1`
		}),
		place: typedBulk([]string{text, truth, number, number}, func(rows string) string {
			return `INSERT INTO imports (group_id, owner, at, n, source) SELECT column1, column2, column3, column4, '' FROM (VALUES ` + rows + `) v WHERE TRUE
				ON CONFLICT (group_id) DO UPDATE SET at = excluded.at, n = excluded.n`
		}),
		owner: typedBulk([]string{text, text, text, text, text, number}, func(rows string) string {
			return `UPDATE members SET name = v.column3, attributes = v.column4, profile = v.column5, joined_at = v.column6
				FROM (VALUES ` + rows + `) v WHERE group_id = v.column1 AND user_id = v.column2`
		}),
		ownerDone: typedBulk([]string{text}, func(rows string) string {
			return `UPDATE imports SET owner = TRUE FROM (VALUES ` + rows + `) v WHERE group_id = v.column1`
		}),
		mark: typedBulk([]string{text, text, number, number}, func(rows string) string {
			return `UPDATE members SET read_version = v.column3, read_messages = v.column4
				FROM (VALUES ` + rows + `) v WHERE group_id = v.column1 AND user_id = v.column2`
		}),
	}
}

// typedBulk is newBulk for rows that are not written to a table, so their columns need
// types.
func typedBulk(types []string, text func(rows string) string) bulk {
	b := bulk{columns: len(types)}
	for _, size := range bulkSizes {
		rows := make([]string, size)
		for i := range rows {
			row := make([]string, len(types))
			for j, typ := range types {
				row[j] = fmt.Sprintf("CAST($%d AS %s)", i*len(types)+j+1, typ)
			}
			rows[i] = "(" + strings.Join(row, ", ") + ")"
		}
		b.texts = append(b.texts, text(strings.Join(rows, ", ")))
	}
	return b
}
