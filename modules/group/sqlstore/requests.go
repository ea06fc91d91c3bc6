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
	t.forget()
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
	t.forget()
	if _, err := t.q.ExecContext(ctx, removeApplicant, t.g.ID, userID); err != nil {
		return fmt.Errorf("remove the request of %s: %w", userID, err)
	}
	return nil
}
