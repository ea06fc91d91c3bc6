package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

const (
	removeInvitation = `DELETE FROM invitations WHERE group_id = $1 AND user_id = $2`
	countInvitations = `SELECT COUNT(*) FROM invitations WHERE group_id = $1 AND expires_at > $2`
	userInvitations  = `SELECT i.group_id, g.name, i.invited_by, i.at, i.expires_at
		FROM invitations i JOIN groups g ON g.id = i.group_id
		WHERE i.user_id = $1 AND i.group_id < $2 AND i.expires_at > $3 AND g.deleted_at IS NULL AND g.ended_at IS NULL
		ORDER BY i.group_id DESC LIMIT $4`
	setDeparted = `INSERT INTO departures (group_id, user_id) VALUES ($1, $2) ON CONFLICT (group_id, user_id) DO NOTHING`
)

// setInvitations returns the statement that stores invitations.
func setInvitations() bulk {
	return newBulk(5, func(rows string) string {
		return `INSERT INTO invitations (group_id, user_id, invited_by, at, expires_at) VALUES ` + rows + `
			ON CONFLICT (group_id, user_id) DO UPDATE SET
			invited_by = excluded.invited_by, at = excluded.at, expires_at = excluded.expires_at`
	}, "", ", ")
}

// UserInvitations lists the groups that a user is invited to, newest first.
func (s *Store) UserInvitations(ctx context.Context, userID, before string, now time.Time, limit int) (list []group.ReceivedInvitation, err error) {
	if !storable(userID) || !storable(before) {
		return []group.ReceivedInvitation{}, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		list = []group.ReceivedInvitation{}
		return each(ctx, q, userInvitations, args{userID, upTo(before), now.UnixMicro(), limit}, func(scan scanner) error {
			var (
				i           group.ReceivedInvitation
				at, expires int64
			)
			err := scan(&i.GroupID, &i.GroupName, &i.InvitedBy, &at, &expires)
			i.At, i.ExpiresAt = instant(at), instant(expires)
			list = append(list, i)
			return err
		})
	})
	return list, doing(err, "list the invitations of user", userID)
}

// SetInvitations stores whom the group invites.
func (t *tx) SetInvitations(ctx context.Context, invitations []group.Invitation) error {
	rows := make([]args, len(invitations))
	for n, i := range invitations {
		if !storable(i.UserID) || !storable(i.InvitedBy) {
			return errNoText
		}
		rows[n] = args{t.g.ID, i.UserID, i.InvitedBy, i.At.UnixMicro(), i.ExpiresAt.UnixMicro()}
	}
	t.forget()
	if err := t.sql.setInvitations.split(rows, t.exec(ctx)); err != nil {
		return fmt.Errorf("write invitations: %w", err)
	}
	return nil
}

// RemoveInvitation removes a user's invitation.
func (t *tx) RemoveInvitation(ctx context.Context, userID string) error {
	if !storable(userID) {
		return nil
	}
	t.forget()
	if _, err := t.q.ExecContext(ctx, removeInvitation, t.g.ID, userID); err != nil {
		return fmt.Errorf("remove the invitation of %s: %w", userID, err)
	}
	return nil
}

// CountInvitations counts the invitations that have not expired.
func (t *tx) CountInvitations(ctx context.Context, now time.Time) (n int, err error) {
	if err := t.q.QueryRowContext(ctx, countInvitations, t.g.ID, now.UnixMicro()).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the invitations: %w", err)
	}
	return n, nil
}

// SetDeparted stores that a user has left.
func (t *tx) SetDeparted(ctx context.Context, userID string) error {
	if !storable(userID) {
		return errNoText
	}
	if _, err := t.q.ExecContext(ctx, setDeparted, t.g.ID, userID); err != nil {
		return fmt.Errorf("write that %s has left: %w", userID, err)
	}
	return nil
}

// departed reads which of the users have left.
func departed(a asked) string { return ofUsers(a, "user_id", "departures") }

// Departed returns the users who have left.
func (t *tx) Departed(ctx context.Context, userIDs ...string) (map[string]bool, error) {
	text, param, err := t.sql.departed.of(userIDs)
	if err != nil {
		return nil, err
	}
	left := make(map[string]bool)
	err = each(ctx, t.q, text, args{t.g.ID, param}, func(scan scanner) error {
		var userID string
		err := scan(&userID)
		left[userID] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read who has left group %s: %w", t.g.ID, err)
	}
	return left, nil
}
