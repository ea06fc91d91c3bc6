package sqlaudit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/database"
)

const (
	inGroup = `SELECT id, actor, user_id, before, after FROM audit WHERE group_id = $1 AND id > $2 ORDER BY id LIMIT $3`
	ofUser  = `SELECT id, actor, user_id, before, after FROM audit WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3`
	byActor = `SELECT id, actor, user_id, before, after FROM audit WHERE actor = $1 AND id > $2 ORDER BY id LIMIT $3`
	rewrite = `UPDATE audit SET actor = $2, user_id = $3, before = $4, after = $5 WHERE id = $1`
	atOnce  = 20 // entries that one transaction reads: each may have 128 KiB
)

// EraseIn replaces a user's id by a pseudonym in the next entries about a group, after the
// one with the given id (empty: from the oldest), and removes what these say of the user. It
// returns the last id that it looked at; empty: that was the end.
func (s *Store) EraseIn(ctx context.Context, groupID, userID, pseudonym, after string) (next string, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) (err error) {
		next, err = erase(ctx, q, inGroup, groupID, after, userID, pseudonym)
		return err
	})
	return next, failed(err)
}

// EraseOf does the same for some of the entries about the user, and of those that the user
// caused. It reports whether there may be more.
func (s *Store) EraseOf(ctx context.Context, userID, pseudonym string) (more bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		more = false
		for _, text := range []string{ofUser, byActor} {
			next, err := erase(ctx, q, text, userID, "", userID, pseudonym)
			if err != nil {
				return err
			}
			more = more || next != ""
		}
		return nil
	})
	return more, failed(err)
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("erase a user from the audit log: %w", err)
}

// erase rewrites the entries that a statement lists for key.
func erase(ctx context.Context, q database.Querier, text, key, after, userID, pseudonym string) (next string, err error) {
	rows, err := q.QueryContext(ctx, text, key, after, atOnce)
	if err != nil {
		return "", err
	}
	var found []audit.Entry
	for rows.Next() {
		var (
			e             audit.Entry
			before, after string
		)
		if err := rows.Scan(&e.ID, &e.Actor, &e.UserID, &before, &after); err != nil {
			_ = rows.Close() // the other error counts
			return "", err
		}
		e.Before, e.After = json.RawMessage(before), json.RawMessage(after)
		found = append(found, e)
	}
	if err := rows.Close(); err != nil {
		return "", err
	}
	for _, e := range found {
		changed, err := without(&e, userID, pseudonym)
		if err != nil {
			return "", err
		}
		if !changed {
			continue
		}
		if _, err := q.ExecContext(ctx, rewrite, e.ID, e.Actor, e.UserID, string(e.Before), string(e.After)); err != nil {
			return "", err
		}
	}
	if len(found) < atOnce {
		return "", nil
	}
	return found[len(found)-1].ID, nil
}

// without replaces a user in an entry. It reports whether they were in it.
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
	about             bool // the entry is about the user: so are its message and its user
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
