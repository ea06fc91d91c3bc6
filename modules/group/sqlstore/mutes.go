package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// mutedUntil is when the mute of member m ends. It is forever if the mute has no end, and
// null if the member is not muted.
const mutedUntil = `(SELECT COALESCE(u.expires_at, 9223372036854775807) FROM mutes u WHERE u.group_id = m.group_id AND u.user_id = m.user_id)`

// forever stands for a mute without an end.
const forever = math.MaxInt64

// mutedOf decodes mutedUntil for a [group.Member].
func mutedOf(until sql.NullInt64) (bool, *time.Time) {
	if !until.Valid || until.Int64 == forever {
		return until.Valid, nil
	}
	return true, optionalInstant(until)
}

const (
	mute    = `SELECT expires_at, actor, at FROM mutes WHERE group_id = $1 AND user_id = $2`
	setMute = `INSERT INTO mutes (group_id, user_id, expires_at, actor, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (group_id, user_id) DO UPDATE SET expires_at = excluded.expires_at, actor = excluded.actor, at = excluded.at`
	removeMute = `DELETE FROM mutes WHERE group_id = $1 AND user_id = $2`
	countMutes = `SELECT count(*) FROM (SELECT 1 FROM mutes WHERE group_id = $1 LIMIT $2) counted`
	mutes      = `SELECT u.user_id, u.expires_at, u.actor, u.at
		FROM groups g LEFT JOIN (SELECT * FROM mutes WHERE group_id = $1 AND user_id > $2 AND (expires_at IS NULL OR expires_at > $3)
			ORDER BY user_id LIMIT $4) u ON u.group_id = g.id
		WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY u.user_id`
)

// Mutes lists the mutes that are in force at now by user id.
func (s *Store) Mutes(ctx context.Context, groupID, after string, now time.Time, limit int) ([]group.Mute, error) {
	return listOf(ctx, s, "mutes", mutes, args{groupID, after, now.UnixMicro(), limit}, func(scan scanner) (*group.Mute, error) {
		var (
			userID, actor sql.NullString // null if the group has no mutes
			expires, at   sql.NullInt64
		)
		if err := scan(&userID, &expires, &actor, &at); err != nil || !userID.Valid {
			return nil, err
		}
		return &group.Mute{UserID: userID.String, ExpiresAt: optionalInstant(expires), Actor: actor.String, At: instant(at.Int64)}, nil
	})
}

// Mute returns a user's mute.
func (t *tx) Mute(ctx context.Context, userID string) (*group.Mute, error) {
	if !storable(userID) {
		return nil, nil //nolint:nilnil // the contract's word for "none"
	}
	var (
		m       = group.Mute{UserID: userID}
		expires sql.NullInt64
		at      int64
	)
	err := t.q.QueryRowContext(ctx, mute, t.g.ID, userID).Scan(&expires, &m.Actor, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the contract's word for "none"
	}
	if err != nil {
		return nil, fmt.Errorf("read the mute of %s: %w", userID, err)
	}
	m.ExpiresAt, m.At = optionalInstant(expires), instant(at)
	return &m, nil
}

// SetMute mutes a user.
func (t *tx) SetMute(ctx context.Context, m group.Mute) error {
	if !storable(m.UserID) || !storable(m.Actor) {
		return errNoText
	}
	t.forget()
	if _, err := t.q.ExecContext(ctx, setMute, t.g.ID, m.UserID, micros(m.ExpiresAt), m.Actor, m.At.UnixMicro()); err != nil {
		return fmt.Errorf("mute %s: %w", m.UserID, err)
	}
	return nil
}

// RemoveMute lifts a mute.
func (t *tx) RemoveMute(ctx context.Context, userID string) error {
	if !storable(userID) {
		return nil
	}
	t.forget()
	if _, err := t.q.ExecContext(ctx, removeMute, t.g.ID, userID); err != nil {
		return fmt.Errorf("lift the mute of %s: %w", userID, err)
	}
	return nil
}

// CountMutes counts the mutes of the group, up to most.
func (t *tx) CountMutes(ctx context.Context, most int) (int, error) {
	return t.countRows(ctx, "mutes", countMutes, most)
}
