package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// eraseScan is the number of events of a log that one statement examines.
const eraseScan = 1000

// eraseStatements erase users. Unless noted otherwise, parameter $1 is a group and $2 a
// user.
type eraseStatements struct {
	traced   string // selects a group that keeps something about user $1
	about    string // examines at most $5 events after version $4; $3 is the user's id as JSON without quotes
	events   string // reads those of these events that are about the user, up to version $5
	blank    string // sets the data of events after version $4, up to $5, from $3, a JSON object by version
	lock     string // locks the group
	acts     []string
	member   string // reports whether the user is a member of a group that is not deleted
	receipts string // deletes at most $2 receipts of user $1
	named    string // reads at most $2 receipts that may name user $1
}

// traced selects a group that still keeps something about the user in a parameter. Either
// the group knows the user, or its log or a record has the user as an actor: as a back end,
// or in the system that the group was imported from.
func traced(user string) string {
	first := func(table, column string) string { return `(` + firstOf(table, column, "group_id", user) + `), ` }
	return `COALESCE(` + first("traces", "user_id") + first("events", "actor") + first("bans", "actor") + first("mutes", "actor") +
		first("invitations", "invited_by") + first("invites", "created_by") + `'')`
}

// firstOf selects the smallest id among a user's rows. It reads one row of the index on
// both columns. MIN, or a condition alone, may make PostgreSQL read the whole table if it
// expects the user to have many rows, as back ends have.
func firstOf(table, userID, id, user string) string {
	return fmt.Sprintf(`SELECT %[3]s FROM (SELECT %[2]s, %[3]s FROM %[1]s
		WHERE %[2]s IS NOT NULL AND (%[2]s, %[3]s) > (%[4]s, '') ORDER BY %[2]s, %[3]s LIMIT 1) f WHERE %[2]s = %[4]s`, table, userID, id, user)
}

const (
	heir = `SELECT user_id FROM members WHERE group_id = $1 AND user_id <> $2
		ORDER BY CASE role WHEN 'admin' THEN 0 ELSE 1 END, joined_at, user_id LIMIT 1`
)

// forgetIn removes what a group keeps about a user. It removes the trace last.
var forgetIn = []string{
	`DELETE FROM members WHERE group_id = $1 AND user_id = $2`,
	`DELETE FROM bans WHERE group_id = $1 AND user_id = $2`,
	`DELETE FROM mutes WHERE group_id = $1 AND user_id = $2`,
	`DELETE FROM requests WHERE group_id = $1 AND user_id = $2`,
	`DELETE FROM invitations WHERE group_id = $1 AND user_id = $2`,
	`DELETE FROM departures WHERE group_id = $1 AND user_id = $2`,
	forgetProblems("hook_groups"),
	forgetProblems("hook_presence_groups"),
	`DELETE FROM hook_presence WHERE group_id = $1 AND user_id = $2`, // hooks that were not told yet read it in the log
	`UPDATE groups SET created_by = NULL WHERE id = $1 AND created_by = $2`,
	`UPDATE groups SET owner_id = '' WHERE id = $1 AND owner_id = $2`, // the owner of a deleted group
	`UPDATE groups SET offered_to = NULL WHERE id = $1 AND offered_to = $2`,
	`DELETE FROM traces WHERE group_id = $1 AND user_id = $2`,
}

// forgetProblems removes the answer of a hook's receiver if it contains the user's id. It
// also removes the result of a program's function, which may contain any text.
func forgetProblems(table string) string {
	return `UPDATE ` + table + ` SET problem = '' WHERE group_id = $1
		AND (REPLACE(problem, $2, '') <> problem OR hook_id IN (SELECT id FROM hooks WHERE url = ''))`
}

func newEraseStatements(d database.Dialect) eraseStatements {
	find := `instr(data, $3) > 0`
	blank := `UPDATE events SET actor = NULLIF(actor, $2), data = b.value, deleted = events.deleted OR events.type = 'message.posted' FROM json_each($3) b
		WHERE events.group_id = $1 AND events.version > $4 AND events.version <= $5 AND events.version = CAST(b.key AS INTEGER)`
	if d == database.Postgres {
		find = `strpos(data, $3) > 0`
		// OFFSET 0 makes PostgreSQL parse the object only once.
		blank = `UPDATE events SET actor = NULLIF(actor, $2), data = b.blanked ->> CAST(version AS TEXT),
			deleted = deleted OR type = 'message.posted'
			FROM (SELECT CAST($3 AS jsonb) AS blanked OFFSET 0) b
			WHERE group_id = $1 AND version > $4 AND version <= $5 AND jsonb_exists(b.blanked, CAST(version AS TEXT))`
	}
	about := `(COALESCE(actor, '') = $2 OR type NOT IN ('message.posted', 'message.edited', 'message.deleted') AND ` + find + `)`
	act := func(table, key, set, column string) string {
		return `UPDATE ` + table + ` SET ` + set + ` WHERE ` + someOf(d, key, `FROM `+table+` WHERE group_id = $1 AND `+column+` = $2 LIMIT $3`)
	}
	return eraseStatements{
		traced: `SELECT ` + traced("$1"),
		about: `SELECT version, ` + about + `
			FROM (SELECT version, type, actor, data FROM events WHERE group_id = $1 AND version > $4 ORDER BY version LIMIT $5) e ORDER BY version`,
		events: `SELECT ` + eventColumns + ` FROM events e WHERE group_id = $1 AND version > $4 AND version <= $5 AND ` + about +
			` ORDER BY version` + d.ForUpdate("e"),
		blank: blank,
		lock:  `SELECT id FROM groups WHERE id = $1` + d.ForUpdate("groups"),
		acts: []string{
			act("bans", "group_id, user_id", "actor = '', reason = ''", "actor"),
			act("mutes", "group_id, user_id", "actor = ''", "actor"),
			act("invitations", "group_id, user_id", "invited_by = ''", "invited_by"),
			act("invites", "id", "created_by = ''", "created_by"),
		},
		member: `SELECT EXISTS (SELECT 1 FROM members m JOIN groups g ON g.id = m.group_id
			WHERE m.group_id = $1 AND m.user_id = $2 AND g.deleted_at IS NULL)`,
		receipts: `DELETE FROM receipts WHERE ` + someOf(d, "user_id, key", `FROM receipts WHERE user_id = $1 ORDER BY user_id, key LIMIT $2`),
		named: `SELECT n.owner, n.key, r.answer FROM receipt_users n JOIN receipts r ON r.user_id = n.owner AND r.key = n.key
			WHERE n.user_id = $1 ORDER BY n.owner, n.key LIMIT $2`,
	}
}

// someOf is [oneOf] for a transaction that holds the lock on the rows' group.
func someOf(d database.Dialect, key, query string) string {
	if d == database.Postgres {
		return `ctid = ANY (ARRAY(SELECT ctid ` + query + `))`
	}
	return `(` + key + `) IN (SELECT ` + key + ` ` + query + `)`
}

// TracedGroup implements [upkeep.Erasures].
func (s *Store) TracedGroup(ctx context.Context, userID string) (groupID string, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, s.sql.erase.traced, userID).Scan(&groupID)
	})
	return groupID, doing(err, "find a group that knows a user", "")
}

// EventsAbout implements [upkeep.Erasures].
func (s *Store) EventsAbout(ctx context.Context, groupID, userID string, after int64, limit int) (found int, last int64, end bool, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) (err error) {
		found, last, end, err = s.eventsAbout(ctx, q, groupID, userID, after, limit)
		return err
	})
	return found, last, end, doing(err, "look for a user in the log of group", groupID)
}

func (s *Store) eventsAbout(ctx context.Context, q database.Querier, groupID, userID string, after int64, limit int) (found int, last int64, end bool, err error) {
	inside, err := insideJSON(userID)
	if err != nil {
		return 0, 0, false, err
	}
	last, rows := after, 0
	err = each(ctx, q, s.sql.erase.about, args{groupID, userID, inside, after, eraseScan}, func(scan scanner) error {
		var (
			version int64
			about   bool
		)
		if err := scan(&version, &about); err != nil {
			return err
		}
		rows, last = rows+1, version
		if about {
			found++
		}
		if found == limit {
			return errFull
		}
		return nil
	})
	return found, last, rows < eraseScan && err == nil, whole(err)
}

// insideJSON returns a text as it appears inside a JSON string.
func insideJSON(text string) (string, error) {
	raw, err := rawjson.Marshal(text)
	if err != nil {
		return "", err
	}
	return string(raw[1 : len(raw)-1]), nil
}

// BlankEvents implements [upkeep.Erasures].
func (s *Store) BlankEvents(ctx context.Context, job group.Erasure, groupID string, after, last int64, blank group.Blank) error {
	inside, err := insideJSON(job.UserID)
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		if err := s.lockGroup(ctx, q, groupID); err != nil {
			return err
		}
		var events []group.Event
		err := each(ctx, q, s.sql.erase.events, args{groupID, job.UserID, inside, after, last}, func(scan scanner) error {
			var row eventRow
			err := scan(row.fields()...)
			events = append(events, row.event(groupID))
			return err
		})
		if err != nil {
			return err
		}
		t := &tx{q: q, sql: &s.sql, g: group.Group{ID: groupID}}
		blanked, done, lastMessage := make(map[string]string), group.Erased{}, int64(0)
		for _, e := range events {
			data, err := blank(ctx, t, e)
			if err != nil {
				return err
			}
			if data == nil {
				continue
			}
			blanked[strconv.FormatInt(e.Version, 10)] = string(data)
			done.EventsBlanked++
			if e.Type == group.MessagePosted {
				done.MessagesBlanked++
				lastMessage = e.Version
			}
		}
		if len(blanked) == 0 {
			return nil
		}
		all, err := rawjson.Marshal(blanked)
		if err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, s.sql.erase.blank, groupID, job.UserID, string(all), after, last); err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, noteDeleted, groupID, lastMessage); err != nil {
			return err
		}
		return t.CountErased(ctx, job.ID, done)
	})
	return doing(err, "blank events of group", groupID)
}

// lockGroup locks a group's row, deleted or not. A group without a row may still have
// events, which a sweep removes.
func (s *Store) lockGroup(ctx context.Context, q database.Querier, groupID string) error {
	var id string
	err := q.QueryRowContext(ctx, s.sql.erase.lock, groupID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// ForgetIn implements [upkeep.Erasures].
func (s *Store) ForgetIn(ctx context.Context, groupID, userID string, version int64) (done bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		done = false
		if err := s.lockGroup(ctx, q, groupID); err != nil {
			return err
		}
		newer, _, end, err := s.eventsAbout(ctx, q, groupID, userID, version, 1)
		if err != nil || newer > 0 || !end {
			return err
		}
		member := false
		if err := q.QueryRowContext(ctx, s.sql.erase.member, groupID, userID).Scan(&member); err != nil || member {
			return err
		}
		for _, text := range forgetIn {
			if _, err := q.ExecContext(ctx, text, groupID, userID); err != nil {
				return err
			}
		}
		done = true
		return nil
	})
	return done, doing(err, "forget a user in group", groupID)
}

// ForgetActs implements [upkeep.Erasures].
func (s *Store) ForgetActs(ctx context.Context, groupID, userID string, limit int) (more bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		more = false
		if err := s.lockGroup(ctx, q, groupID); err != nil {
			return err
		}
		for _, text := range s.sql.erase.acts {
			n, err := affect(ctx, q, text, groupID, userID, limit)
			if err != nil {
				return err
			}
			more = more || n == int64(limit)
		}
		return nil
	})
	return more, doing(err, "forget who acted in group", groupID)
}

// Heir implements [group.ErasureTx].
func (t *tx) Heir(ctx context.Context, userID string) (found string, err error) {
	if err := t.seat(ctx); err != nil {
		return "", err
	}
	err = t.q.QueryRowContext(ctx, heir, t.g.ID, userID).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the next owner: %w", err)
	}
	return found, nil
}
