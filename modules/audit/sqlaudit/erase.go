package sqlaudit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/database"
)

// ofUser and byActor read rows in the order of an index, starting with the user's first
// row, and then skip those of other users. With a condition alone, PostgreSQL may read all
// rows.
const (
	ofUser = `SELECT id, actor, user_id, before, after FROM
		(SELECT * FROM audit WHERE (user_id, id) > ($1, '') ORDER BY user_id, id LIMIT $2) a WHERE user_id = $1`
	byActor = `SELECT id, actor, user_id, before, after FROM
		(SELECT * FROM audit WHERE (actor, id) > ($1, '') ORDER BY actor, id LIMIT $2) a WHERE actor = $1`
	naming   = `SELECT id, actor, a.user_id, before, after FROM audit_users n JOIN audit a ON a.id = n.entry_id WHERE n.user_id = $1 ORDER BY n.entry_id LIMIT $2`
	rewrite  = `UPDATE audit SET actor = $2, user_id = $3, before = $4, after = $5 WHERE id = $1`
	noLonger = `DELETE FROM audit_users WHERE user_id = $1 AND entry_id = $2`
	atOnce   = 20 // entries that one transaction reads; each may have 128 KiB
)

// EraseOf replaces a user's id by a pseudonym in some of the entries about the user,
// entries that the user caused, and entries that name the user. It also removes the user's
// personal data from them. It reports whether there may be more.
func (s *Store) EraseOf(ctx context.Context, userID, pseudonym string) (more bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		more = false
		for _, text := range []string{ofUser, byActor, naming} {
			n, err := erase(ctx, q, text, userID, pseudonym)
			if err != nil {
				return err
			}
			more = more || n == atOnce
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("erase a user from the audit log: %w", err)
	}
	return more, nil
}

// erase rewrites the entries that a statement lists, and returns their number. The
// statement does not list rewritten entries again.
func erase(ctx context.Context, q database.Querier, text, userID, pseudonym string) (n int, err error) {
	rows, err := q.QueryContext(ctx, text, userID, atOnce)
	if err != nil {
		return 0, err
	}
	var found []audit.Entry
	for rows.Next() {
		var (
			e             audit.Entry
			before, after string
		)
		if err := rows.Scan(&e.ID, &e.Actor, &e.UserID, &before, &after); err != nil {
			_ = rows.Close() // report the first error
			return 0, err
		}
		e.Before, e.After = json.RawMessage(before), json.RawMessage(after)
		found = append(found, e)
	}
	if err := rows.Close(); err != nil {
		return 0, err
	}
	for _, e := range found {
		if _, err := q.ExecContext(ctx, noLonger, userID, e.ID); err != nil {
			return 0, err
		}
		changed, err := without(&e, userID, pseudonym)
		if err != nil {
			return 0, err
		}
		if !changed {
			continue
		}
		if _, err := q.ExecContext(ctx, rewrite, e.ID, e.Actor, e.UserID, string(e.Before), string(e.After)); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// without replaces a user in an entry. It reports whether the entry contained the user.
func without(e *audit.Entry, userID, pseudonym string) (changed bool, err error) {
	w := eraser{userID: userID, pseudonym: pseudonym, about: e.UserID == userID || e.Actor == userID}
	changed = w.about
	for _, id := range []*string{&e.Actor, &e.UserID} {
		if *id == userID {
			*id = pseudonym
		}
	}
	for _, raw := range []*json.RawMessage{&e.Before, &e.After} {
		records, err := decode(*raw)
		if err != nil {
			return false, fmt.Errorf("decode entry %s: %w", e.ID, err)
		}
		w.changed = false
		each(records, w.erase)
		if !w.changed {
			continue
		}
		changed = true
		if *raw, err = json.Marshal(records); err != nil {
			return false, fmt.Errorf("encode entry %s: %w", e.ID, err)
		}
	}
	return changed, nil
}

// eraser removes a user from records.
type eraser struct {
	userID, pseudonym string
	about             bool // the entry is about the user, so its message and its user records are the user's
	changed           bool
}

// erase removes the user from one record.
func (w *eraser) erase(kind string, record map[string]any) {
	theirs := w.about && (kind == "message" || kind == "user")
	for _, field := range userFields {
		if record[field] == w.userID {
			record[field], w.changed = w.pseudonym, true
			theirs = theirs || slices.Contains(actingFields, field)
		}
	}
	if !theirs {
		return
	}
	for _, field := range personalFields {
		if _, there := record[field]; there {
			delete(record, field)
			w.changed = true
		}
	}
}
