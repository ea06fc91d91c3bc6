package sqlstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/database"
)

// statements are all texts that a store runs.
type statements struct {
	group, members, publicGroups, userGroups string

	schedule, due, postpone string // of timers

	keep, receipt string // of receipts
	useInvite     string
	expire        []string

	markRead string

	lock, member, setRecord, setMember, removeMember, setDeleted, move string
	moveWithEvent, moveWithMember                                      string // empty where one statement cannot do it all
	insertGroup                                                        string
	insertMembers, insertEvents, insertOutbox                          bulk

	readGroup, readOne, readEvents, readMembers, heads string
	memberships, outsiders, lockUsers, tally           byUsers
	relay, waits                                       string
	aged, trimmable, trim                              string
	forget                                             []string
	forgetGroup                                        string
	published                                          bulk
}

const insertMembers = `INSERT INTO members (group_id, user_id, name, role, attributes, joined_at, read_version, read_messages) VALUES `

func newStatements(d database.Dialect) statements {
	now := d.Now()
	skipLocked := ""
	move := `UPDATE groups SET version = version + $2, revision = $3, member_count = member_count + $4, messages = $5, moved_at = ` + now + `
			WHERE id = $1 RETURNING version`
	markRead := markReadStatement()
	moveWithEvent, moveWithMember := "", ""
	if d == database.Postgres {
		skipLocked = " FOR UPDATE OF o SKIP LOCKED"
		// A round trip saved is a shorter lock: most changes have one event, and
		// most of those that let someone in let in one.
		event := `WITH
			e AS (INSERT INTO events (group_id, version, type, actor, data, at, messages) VALUES ($1, $6, $7, $8, $9, $10, $5)),
			o AS (INSERT INTO outbox (group_id, version, created_at) VALUES ($1, $6, ` + now + `)), `
		moveWithEvent = event + `
			r AS (UPDATE members SET read_version = $6, read_messages = $5 WHERE group_id = $1 AND user_id = $11) ` + move
		moveWithMember = event + `
			m AS (` + insertMembers + `($1, ` + parameters(11, 7) + `)) ` + move
	}
	keep, receipt := receiptStatements(now)
	schedule, due, postpone := timerStatements(now)
	return statements{
		lockUsers: newByUsers(d, "$1", lockUsers),
		tally:     newByUsers(d, "$1", tally),
		keep:      keep,
		receipt:   receipt,
		useInvite: useInvite(now),
		expire:    expireStatements(d),

		group: `SELECT ` + groupColumns + `, ` + memberColumns + `
			FROM groups g LEFT JOIN members m ON m.group_id = g.id AND m.user_id = $2
			WHERE g.id = $1 AND g.deleted_at IS NULL`,
		members: `SELECT g.version, ` + memberColumns + `
			FROM groups g LEFT JOIN (SELECT * FROM members WHERE group_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3) m
			ON m.group_id = g.id
			WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY m.user_id`,
		publicGroups: `SELECT ` + groupColumns + ` FROM groups g
			WHERE g.visibility = 'public' AND g.deleted_at IS NULL AND g.search LIKE $1 ESCAPE '\' AND g.id < $2
			ORDER BY g.id DESC LIMIT $3`,
		userGroups: `SELECT ` + groupColumns + `, m.role, m.read_version, g.messages - m.read_messages FROM members m JOIN groups g ON g.id = m.group_id
			WHERE m.user_id = $1 AND m.group_id < $2 AND g.deleted_at IS NULL
			ORDER BY m.group_id DESC LIMIT $3`,

		schedule: schedule,
		due:      due,
		postpone: postpone,

		lock: `SELECT ` + groupColumns + `, g.next_at, g.moved_at, g.messages, ` + now + ` FROM groups g
			WHERE g.id = $1 AND g.deleted_at IS NULL` + d.ForUpdate(),
		member:        `SELECT ` + memberColumns + ` FROM members m WHERE m.group_id = $1 AND m.user_id = $2`,
		setRecord:     `UPDATE groups SET ` + assignments(2, recordColumns) + ` WHERE id = $1`,
		setMember:     `UPDATE members SET role = $3, attributes = $4 WHERE group_id = $1 AND user_id = $2`,
		removeMember:  `DELETE FROM members WHERE group_id = $1 AND user_id = $2`,
		markRead:      markRead,
		setDeleted:    `UPDATE groups SET deleted_at = ` + now + ` WHERE id = $1`,
		move:          move,
		moveWithEvent: moveWithEvent, moveWithMember: moveWithMember,
		insertGroup: `INSERT INTO groups (id, owner_id, created_at, ` + strings.Join(recordColumns, ", ") + `,
			member_count, version, revision, moved_at)
			VALUES (` + parameters(1, 3+len(recordColumns)) + `, 1, 1, 1, ` + now + `) RETURNING moved_at`,
		insertMembers: newBulk(8, func(rows string) string {
			return insertMembers + rows
		}, "", ", "),
		insertEvents: newBulk(7, func(rows string) string {
			return `INSERT INTO events (group_id, version, type, actor, data, at, messages) VALUES ` + rows
		}, "", ", "),
		insertOutbox: newBulk(2, func(rows string) string {
			return `INSERT INTO outbox (group_id, version, created_at) VALUES ` + rows
		}, ", "+now, ", "),

		readGroup: `SELECT ` + groupColumns + logBounds + ` FROM groups g WHERE g.id = $1`,
		readOne: `SELECT ` + groupColumns + logBounds + `, ` + memberColumns + `
			FROM groups g LEFT JOIN members m ON m.group_id = g.id AND m.user_id = $2 WHERE g.id = $1`,
		readEvents:  `SELECT ` + eventColumns + ` FROM events e WHERE e.group_id = $1 AND e.version > $2 ORDER BY e.version LIMIT $3`,
		readMembers: ofUsers(asked{d, "$2", false}, memberColumns, "members"),
		memberships: newByUsers(d, "$2", memberships),
		outsiders:   newByUsers(d, "$2", outsiders),
		heads:       `SELECT id, version FROM groups WHERE moved_at > (SELECT ` + now + `) - $1`,

		aged: `SELECT g.id, g.version, COALESCE(g.deleted_at < (SELECT ` + now + `) - $3, FALSE) FROM groups g
			WHERE g.id > $1 AND (g.version > $2 OR g.deleted_at IS NOT NULL) ORDER BY g.id LIMIT $4`,
		trimmable: `SELECT COALESCE(MAX(version), 0), COUNT(*) FROM (
			SELECT version, at FROM events WHERE group_id = $1 AND version <= $2 ORDER BY version LIMIT $4) e
			WHERE at < (SELECT ` + now + `) - $3`,
		trim:        `DELETE FROM events WHERE group_id = $1 AND version <= $2`,
		forget:      forgetStatements(),
		forgetGroup: `DELETE FROM groups WHERE id = $1`,

		relay: `SELECT ` + eventColumns + `, o.created_at FROM outbox o JOIN events e ON e.group_id = o.group_id AND e.version = o.version
			WHERE o.created_at < (SELECT ` + now + `) - $1 AND (o.created_at, o.group_id, o.version) > ($3, $4, $5)
			ORDER BY o.created_at, o.group_id, o.version LIMIT $2` + skipLocked,
		waits: `SELECT EXISTS (SELECT 1 FROM outbox WHERE created_at < (SELECT ` + now + `) - $1)`,
		published: newBulk(2, func(rows string) string {
			if d == database.Postgres {
				// Rows that a relay holds are its own to mark: nobody waits for it.
				return `DELETE FROM outbox WHERE (group_id, version) IN
					(SELECT group_id, version FROM outbox WHERE ` + rows + ` FOR UPDATE SKIP LOCKED)`
			}
			return `DELETE FROM outbox WHERE ` + rows
		}, "", " OR "),
	}
}

// bulk is one statement for several numbers of rows, so that many rows need few
// round trips and few texts.
type bulk struct {
	columns int
	texts   []string // for bulkSizes
}

var bulkSizes = []int{100, 10, 1}

// newBulk makes the texts. A row is its parameters in parentheses, with tail
// before the closing one; rows are joined by sep. Where sep is OR, a row is
// a condition on group and version instead.
func newBulk(columns int, text func(rows string) string, tail, sep string) bulk {
	b := bulk{columns: columns}
	for _, size := range bulkSizes {
		rows := make([]string, size)
		for i := range rows {
			first := i*columns + 1
			if sep == " OR " {
				rows[i] = fmt.Sprintf("(group_id = $%d AND version = $%d)", first, first+1)
				continue
			}
			rows[i] = "(" + parameters(first, columns) + tail + ")"
		}
		b.texts = append(b.texts, text(strings.Join(rows, sep)))
	}
	return b
}

// split cuts rows into statements and their parameters.
func (b bulk) split(rows []args, exec func(text string, a args) error) error {
	for i, size := range bulkSizes {
		for len(rows) >= size {
			if err := exec(b.texts[i], slices.Concat(rows[:size]...)); err != nil {
				return err
			}
			rows = rows[size:]
		}
	}
	return nil
}

// parameters is "$first, …", n of them.
func parameters(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(list, ", ")
}

// assignments is "column = $first, …".
func assignments(first int, columns []string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = fmt.Sprintf("%s = $%d", c, first+i)
	}
	return strings.Join(list, ", ")
}
