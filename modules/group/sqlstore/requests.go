package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	setApplicant = `INSERT INTO requests (group_id, user_id, name, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (group_id, user_id) DO UPDATE SET name = excluded.name, at = excluded.at`
	removeApplicant = `DELETE FROM requests WHERE group_id = $1 AND user_id = $2`
	// A group without requests is one row without one.
	applicants = `SELECT r.user_id, r.name, r.at
		FROM groups g LEFT JOIN (SELECT * FROM requests WHERE group_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3) r
		ON r.group_id = g.id
		WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY r.user_id`
)

// Applicants lists who asked to join by user id.
func (s *Store) Applicants(ctx context.Context, groupID, after string, limit int) (list []group.Applicant, err error) {
	if !storable(groupID) {
		return nil, fault.ErrNotFound
	}
	if !storable(after) {
		return nil, errCursor
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		list = []group.Applicant{}
		known := false
		err := each(ctx, q, applicants, args{groupID, after, limit}, func(scan scanner) error {
			var (
				userID, name sql.NullString
				at           sql.NullInt64
			)
			if err := scan(&userID, &name, &at); err != nil {
				return err
			}
			known = true
			if userID.Valid {
				list = append(list, group.Applicant{UserID: userID.String, Name: name.String, At: instant(at.Int64)})
			}
			return nil
		})
		if err == nil && !known {
			return fault.ErrNotFound
		}
		return err
	})
	return list, doing(err, "list the requests to join group", groupID)
}

// SetApplicant notes that a user asked to join.
func (t *tx) SetApplicant(ctx context.Context, a group.Applicant) error {
	if !storable(a.UserID) || !storable(a.Name) {
		return errNoText
	}
	if _, err := t.q.ExecContext(ctx, setApplicant, t.g.ID, a.UserID, a.Name, a.At.UnixMicro()); err != nil {
		return fmt.Errorf("write the request of %s: %w", a.UserID, err)
	}
	return nil
}

// RemoveApplicant forgets that a user asked to join.
func (t *tx) RemoveApplicant(ctx context.Context, userID string) error {
	if !storable(userID) {
		return nil
	}
	if _, err := t.q.ExecContext(ctx, removeApplicant, t.g.ID, userID); err != nil {
		return fmt.Errorf("remove the request of %s: %w", userID, err)
	}
	return nil
}

// outsiders reads bans and requests at once: everyone who joins is asked for
// both, while the group's row is locked. $2 is the list of their ids.
func outsiders(d database.Dialect) string {
	asked := isIn(d, "$2")
	return `SELECT TRUE, user_id, reason, expires_at, actor, at FROM bans WHERE group_id = $1 AND user_id` + asked + `
		UNION ALL
		SELECT FALSE, user_id, name, CAST(NULL AS BIGINT), '', at FROM requests WHERE group_id = $1 AND user_id` + asked
}

// Outsiders returns what the group keeps about users.
func (t *tx) Outsiders(ctx context.Context, userIDs ...string) (map[string]group.Outsider, error) {
	asked, err := textList(userIDs)
	if err != nil {
		return nil, err
	}
	found := make(map[string]group.Outsider)
	err = each(ctx, t.q, t.sql.outsiders, args{t.g.ID, asked}, func(scan scanner) error {
		var (
			banned bool
			row    banRow
		)
		if err := scan(append([]any{&banned}, row.fields()...)...); err != nil {
			return err
		}
		b := row.ban()
		o := found[b.UserID]
		if banned {
			o.Ban = b
		} else {
			o.Applicant = &group.Applicant{UserID: b.UserID, Name: b.Reason, At: b.At}
		}
		found[b.UserID] = o
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read who is not in group %s: %w", t.g.ID, err)
	}
	return found, nil
}
