package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	banColumns = `b.user_id, b.reason, b.expires_at, b.actor, b.at`
	setBan     = `INSERT INTO bans (group_id, user_id, reason, expires_at, actor, at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (group_id, user_id) DO UPDATE SET
		reason = excluded.reason, expires_at = excluded.expires_at, actor = excluded.actor, at = excluded.at`
	countBans = `SELECT count(*) FROM (SELECT 1 FROM bans WHERE group_id = $1 LIMIT $2) counted`
	removeBan = `DELETE FROM bans WHERE group_id = $1 AND user_id = $2`
	bans      = `SELECT ` + banColumns + `
		FROM groups g LEFT JOIN (SELECT * FROM bans WHERE group_id = $1 AND user_id > $2 AND (expires_at IS NULL OR expires_at > $3)
			ORDER BY user_id LIMIT $4) b ON b.group_id = g.id
		WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY b.user_id`
)

// banRow is a ban, or nulls where an outer join found none.
type banRow struct {
	userID, reason, actor sql.NullString
	expires, at           sql.NullInt64
}

func (r *banRow) fields() []any { return []any{&r.userID, &r.reason, &r.expires, &r.actor, &r.at} }

func (r *banRow) ban() *group.Ban {
	if !r.userID.Valid {
		return nil
	}
	return &group.Ban{
		UserID:    r.userID.String,
		Reason:    r.reason.String,
		ExpiresAt: optionalInstant(r.expires),
		Actor:     r.actor.String,
		At:        instant(r.at.Int64),
	}
}

// Bans lists the bans that are in force at now by user id.
func (s *Store) Bans(ctx context.Context, groupID, after string, now time.Time, limit int) ([]group.Ban, error) {
	return listOf(ctx, s, "bans", bans, args{groupID, after, now.UnixMicro(), limit}, func(scan scanner) (*group.Ban, error) {
		var row banRow
		err := scan(row.fields()...)
		return row.ban(), err
	})
}

// SetBan bans a user.
func (t *tx) SetBan(ctx context.Context, b group.Ban) error {
	if !storable(b.UserID) || !storable(b.Reason) || !storable(b.Actor) {
		return errNoText
	}
	t.forget()
	_, err := t.q.ExecContext(ctx, setBan, t.g.ID, b.UserID, b.Reason, micros(b.ExpiresAt), b.Actor, b.At.UnixMicro())
	if err != nil {
		return fmt.Errorf("ban %s: %w", b.UserID, err)
	}
	return nil
}

// RemoveBan lifts a ban.
func (t *tx) RemoveBan(ctx context.Context, userID string) error {
	if !storable(userID) {
		return nil
	}
	t.forget()
	if _, err := t.q.ExecContext(ctx, removeBan, t.g.ID, userID); err != nil {
		return fmt.Errorf("lift the ban on %s: %w", userID, err)
	}
	return nil
}

// CountBans counts the bans of the group, up to most.
func (t *tx) CountBans(ctx context.Context, most int) (int, error) {
	return t.countRows(ctx, "bans", countBans, most)
}

// countRows counts rows of the group, up to most.
func (t *tx) countRows(ctx context.Context, what, query string, most int) (n int, err error) {
	if err := t.q.QueryRowContext(ctx, query, t.g.ID, most).Scan(&n); err != nil {
		return 0, fmt.Errorf("count %s: %w", what, err)
	}
	return n, nil
}

var (
	errCursor = fault.ErrBadRequest.WithMessage("the cursor is not one of this list")
	errNoText = fault.Validation(fault.Field{Field: "userId", Message: "must be text"})
)
