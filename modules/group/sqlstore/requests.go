package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

const (
	setApplicant = `INSERT INTO requests (group_id, user_id, name, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (group_id, user_id) DO UPDATE SET name = excluded.name, at = excluded.at`
	countApplicants = `SELECT count(*) FROM (SELECT 1 FROM requests WHERE group_id = $1 LIMIT $2) counted`
	removeApplicant = `DELETE FROM requests WHERE group_id = $1 AND user_id = $2`
	applicants      = `SELECT r.user_id, r.name, r.at
		FROM groups g LEFT JOIN (SELECT * FROM requests WHERE group_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3) r
		ON r.group_id = g.id
		WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY r.user_id`
	userRequests = `SELECT r.group_id, CASE WHEN g.visibility = 'public' THEN g.name ELSE '' END, r.at
		FROM requests r JOIN groups g ON g.id = r.group_id
		WHERE r.user_id = $1 AND r.group_id < $2 AND g.deleted_at IS NULL AND g.ended_at IS NULL
		ORDER BY r.group_id DESC LIMIT $3`
)

// Applicants lists the users who asked to join by user id.
func (s *Store) Applicants(ctx context.Context, groupID, after string, limit int) ([]group.Applicant, error) {
	return listOf(ctx, s, "applicants", applicants, args{groupID, after, limit}, func(scan scanner) (*group.Applicant, error) {
		var (
			userID, name sql.NullString
			at           sql.NullInt64
		)
		if err := scan(&userID, &name, &at); err != nil || !userID.Valid {
			return nil, err
		}
		return &group.Applicant{UserID: userID.String, Name: name.String, At: instant(at.Int64)}, nil
	})
}

// UserRequests lists the groups that a user asked to join, newest first.
func (s *Store) UserRequests(ctx context.Context, userID, before string, limit int) (list []group.SentRequest, err error) {
	if !storable(userID) || !storable(before) {
		return []group.SentRequest{}, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		list = []group.SentRequest{}
		return each(ctx, q, userRequests, args{userID, upTo(before), limit}, func(scan scanner) error {
			var (
				r  group.SentRequest
				at int64
			)
			err := scan(&r.GroupID, &r.GroupName, &at)
			r.At = instant(at)
			list = append(list, r)
			return err
		})
	})
	return list, doing(err, "list the requests of user", userID)
}

// CountApplicants counts the users who asked to join, up to most.
func (t *tx) CountApplicants(ctx context.Context, most int) (int, error) {
	return t.countRows(ctx, "applicants", countApplicants, most)
}

// SetApplicant stores that a user asked to join.
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

// RemoveApplicant removes a user's request to join.
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
