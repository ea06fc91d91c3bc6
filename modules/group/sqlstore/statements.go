package sqlstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/database"
)

// statements are the SQL statements of a store.
type statements struct {
	group, members, userGroups string
	searchPublic, searchAll    searchStatements
	find                       findStatements

	schedule, due, postpone, timers string // of timers

	keep, receipt string // of receipts
	keepNamed     bulk
	useInvite     string
	expire        []string

	markRead         string
	settle, setRoles string

	lock, member, setRecord, setMember, removeMember, setDeleted, move string
	moveWithEvent, moveWithMember                                      string // empty on SQLite
	event                                                              string
	insertGroup                                                        string
	insertMembers, insertEvents, insertOutbox, insertAttributes        bulk

	readGroup, readOne, readEvents, readMembers, heads, headsOf string
	memberships, outsiders, tally, departed                     byUsers
	setInvitations                                              bulk
	relay, waits                                                string
	sweep                                                       sweepStatements
	renames                                                     renameStatements
	erasures                                                    erasureStatements
	erase                                                       eraseStatements
	bytes                                                       byteStatements
	published                                                   bulk
	imports                                                     importStatements
}

const insertMembers = `INSERT INTO members (group_id, user_id, name, role, attributes, profile, joined_at, read_version, read_messages) VALUES `

func newStatements(d database.Dialect) statements {
	now := d.Now()
	move := `UPDATE groups SET version = version + $2, revision = $3, member_count = member_count + $4, messages = $5, moved_at = ` + now + `
			WHERE id = $1 RETURNING version`
	markRead := markReadStatement()
	moveWithEvent, moveWithMember := "", ""
	itsGroup := `JOIN groups g ON g.id = m.group_id`
	if d == database.Postgres {
		// One lookup for each row. A merge join may read all groups.
		itsGroup = `CROSS JOIN LATERAL (SELECT * FROM groups WHERE id = m.group_id OFFSET 0) g`
		// Most changes have one event, and many of these add one member. One statement for
		// both saves a round trip while the row is locked.
		event := `WITH
			e AS (INSERT INTO events (group_id, version, type, actor, data, at, messages) VALUES ($1, $6, $7, $8, $9, $10, $5)),
			o AS (INSERT INTO outbox (group_id, version, created_at) VALUES ($1, $6, ` + now + `)), `
		moveWithEvent = event + `
			r AS (UPDATE members SET read_version = $6, read_messages = $5 WHERE group_id = $1 AND user_id = $11) ` + move
		moveWithMember = event + `
			m AS (` + insertMembers + `($1, ` + parameters(11, 8) + `)) ` + move
	}
	keep, receipt := receiptStatements(now)
	schedule, due, postpone, timers := timerStatements(now)
	heads, headsOf := headStatements(d)
	return statements{
		tally:    newByUsers(d, "$1", tally),
		settle:   settleStatement(d),
		setRoles: setRolesStatement(d),
		keep:     keep,
		receipt:  receipt,
		keepNamed: newBulk(3, func(rows string) string {
			return `INSERT INTO receipt_users (user_id, owner, key) VALUES ` + rows + ` ON CONFLICT DO NOTHING`
		}, "", ", "),
		useInvite: useInvite(now),
		expire:    expireStatements(d),

		group: `SELECT ` + groupColumns + `, ` + memberColumns + `
			FROM groups g LEFT JOIN members m ON m.group_id = g.id AND m.user_id = $2
			WHERE g.id = $1 AND g.deleted_at IS NULL`,
		members: `SELECT g.version, g.read_receipts, m.read_version, ` + memberColumns + `
			FROM groups g LEFT JOIN (SELECT * FROM members WHERE group_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3) m
			ON m.group_id = g.id
			WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY m.user_id`,
		searchPublic: newSearchStatements(d, false),
		searchAll:    newSearchStatements(d, true),
		find:         newFindStatements(d),
		userGroups: `SELECT ` + groupColumns + `, m.role, m.read_version, ` + unread + ` FROM members m ` + itsGroup + `
			WHERE m.user_id = $1 AND m.live = TRUE AND m.group_id < $2 AND g.deleted_at IS NULL
			ORDER BY m.group_id DESC LIMIT $3`,

		schedule: schedule,
		due:      due,
		timers:   timers,
		postpone: postpone,

		lock: `SELECT ` + groupColumns + `, g.next_at, g.moved_at, g.messages, g.offered_to, ` + now + `,
			(SELECT version FROM groups WHERE id = $1), ` + memberColumns + `
			FROM groups g LEFT JOIN members m ON m.group_id = g.id AND m.user_id = $2
			WHERE g.id = $1 AND g.deleted_at IS NULL` + d.ForUpdate("g"),
		member:        `SELECT ` + memberColumns + ` FROM members m WHERE m.group_id = $1 AND m.user_id = $2`,
		setRecord:     `UPDATE groups SET ` + assignments(2, recordColumns) + ` WHERE id = $1`,
		setMember:     `UPDATE members SET role = $3, attributes = $4, name = $5, profile = $6 WHERE group_id = $1 AND user_id = $2`,
		removeMember:  `DELETE FROM members WHERE group_id = $1 AND user_id = $2`,
		markRead:      markRead,
		setDeleted:    `UPDATE groups SET deleted_at = ` + now + ` WHERE id = $1`,
		move:          move,
		moveWithEvent: moveWithEvent, moveWithMember: moveWithMember,
		insertGroup: `INSERT INTO groups (id, owner_id, created_at, created_by, ` + strings.Join(recordColumns, ", ") + `,
			member_count, version, revision, moved_at)
			VALUES (` + parameters(1, 4+len(recordColumns)) + `, 1, 1, 1, ` + now + `) RETURNING moved_at`,
		insertMembers: newBulk(9, func(rows string) string {
			return insertMembers + rows
		}, "", ", "),
		insertAttributes: newBulk(3, func(rows string) string {
			return `INSERT INTO group_attributes (key, value, group_id) VALUES ` + rows
		}, "", ", "),
		insertEvents: newBulk(7, func(rows string) string {
			return `INSERT INTO events (group_id, version, type, actor, data, at, messages) VALUES ` + rows
		}, "", ", "),
		insertOutbox: newBulk(2, func(rows string) string {
			return `INSERT INTO outbox (group_id, version, created_at) VALUES ` + rows
		}, ", "+now, ", "),

		event:     `SELECT ` + eventColumns + ` FROM events e WHERE e.group_id = $1 AND e.version = $2` + d.ForUpdate("e"),
		readGroup: `SELECT ` + groupColumns + logBounds + ` FROM groups g WHERE g.id = $1`,
		readOne: `SELECT ` + groupColumns + logBounds + `, ` + memberColumns + `, ` + eventColumns + `
			FROM groups g LEFT JOIN members m ON m.group_id = g.id AND m.user_id = $2
			LEFT JOIN (SELECT * FROM events WHERE group_id = $1 AND version > $3 ORDER BY version LIMIT $4) e ON TRUE
			WHERE g.id = $1 ORDER BY e.version`,
		readEvents:  `SELECT ` + eventColumns + ` FROM events e WHERE e.group_id = $1 AND e.version > $2 ORDER BY e.version LIMIT $3`,
		readMembers: ofUsers(asked{d, "$2", false}, memberColumns, "members"),
		memberships: newByUsers(d, "$2", memberships),
		outsiders:   newByUsers(d, "$2", outsiders),
		heads:       heads,
		headsOf:     headsOf,
		departed:    newByUsers(d, "$2", departed),

		setInvitations: setInvitations(),

		sweep:    newSweepStatements(d),
		bytes:    newByteStatements(d),
		renames:  newRenameStatements(d),
		erasures: newErasureStatements(d),
		erase:    newEraseStatements(d),
		imports:  newImportStatements(d),

		relay: relayStatement(d),
		waits: `SELECT COALESCE((SELECT MIN(created_at) FROM outbox) < (SELECT ` + now + `) - $1, FALSE)`,
		published: newBulk(2, func(rows string) string {
			if d == database.Postgres {
				// A relay marks the rows that it has locked, so do not wait for it.
				return `DELETE FROM outbox WHERE ` + oneOf(d, "", `FROM outbox WHERE `+rows)
			}
			return `DELETE FROM outbox WHERE ` + rows
		}, "", " OR "),
	}
}

// bulk is a statement in several sizes, so that many rows need few round trips and few
// different statements.
type bulk struct {
	columns int
	texts   []string // one for each of bulkSizes
}

var bulkSizes = []int{100, 10, 1}

// newBulk builds the statements. A row is its parameters in parentheses, with tail before
// the closing one. Rows are joined by sep. If sep is " OR ", each row is a condition on
// group and version instead.
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

// split passes rows to exec in as few statements as possible.
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

// parameters returns "$first, …", n of them.
func parameters(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(list, ", ")
}

// assignments returns "column = $first, …".
func assignments(first int, columns []string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = fmt.Sprintf("%s = $%d", c, first+i)
	}
	return strings.Join(list, ", ")
}
