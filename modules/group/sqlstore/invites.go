package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

const (
	inviteColumns = `i.id, i.max_uses, i.uses, i.expires_at, i.created_by, i.created_at`
	addInvite     = `INSERT INTO invites (id, group_id, code_hash, max_uses, uses, expires_at, over_at, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8)`
	removeInvite    = `DELETE FROM invites WHERE group_id = $1 AND id = $2`
	removeInvitesOf = `DELETE FROM invites WHERE group_id = $1 AND created_by = $2 RETURNING id`
	countInvites    = `SELECT COUNT(*) FROM invites WHERE group_id = $1`
	removeOver      = `DELETE FROM invites WHERE group_id = $1 AND (expires_at <= $2 OR uses >= max_uses)`
	invite          = `SELECT ` + inviteColumns + ` FROM invites i WHERE i.group_id = $1 AND i.code_hash = $2`
	invitedTo       = `SELECT g.id FROM invites i JOIN groups g ON g.id = i.group_id WHERE i.code_hash = $1 AND g.deleted_at IS NULL`
	invites         = `SELECT ` + inviteColumns + `
		FROM groups g LEFT JOIN (SELECT * FROM invites WHERE group_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3) i
		ON i.group_id = g.id
		WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY i.id DESC`
)

// useInvite counts one use. The last use also sets the time from which the invite is over.
func useInvite(now string) string {
	return `UPDATE invites SET uses = uses + 1, over_at = CASE WHEN uses + 1 >= max_uses THEN ` + now + ` ELSE over_at END
		WHERE group_id = $1 AND id = $2`
}

// inviteRow is an invite, or nulls where an outer join found none.
type inviteRow struct {
	id, by                       sql.NullString
	maxUses, uses, expires, made sql.NullInt64
}

func (r *inviteRow) fields() []any {
	return []any{&r.id, &r.maxUses, &r.uses, &r.expires, &r.by, &r.made}
}

func (r *inviteRow) invite() *group.Invite {
	if !r.id.Valid {
		return nil
	}
	i := &group.Invite{
		InviteID:  r.id.String,
		Uses:      int(r.uses.Int64),
		ExpiresAt: optionalInstant(r.expires),
		CreatedAt: instant(r.made.Int64),
		CreatedBy: r.by.String,
	}
	if r.maxUses.Valid {
		n := int(r.maxUses.Int64)
		i.MaxUses = &n
	}
	return i
}

// Invites lists invites, newest first.
func (s *Store) Invites(ctx context.Context, groupID, before string, limit int) ([]group.Invite, error) {
	return listOf(ctx, s, "invites", invites, args{groupID, upTo(before), limit}, func(scan scanner) (*group.Invite, error) {
		var row inviteRow
		err := scan(row.fields()...)
		return row.invite(), err
	})
}

// InvitedTo returns the group that a code is for.
func (s *Store) InvitedTo(ctx context.Context, codeHash string) (groupID string, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		return notFound(q.QueryRowContext(ctx, invitedTo, codeHash).Scan(&groupID))
	})
	return groupID, doing(err, "find the group of an invite", "")
}

// AddInvite inserts an invite.
func (t *tx) AddInvite(ctx context.Context, i group.Invite, codeHash string) error {
	var maxUses any
	if i.MaxUses != nil {
		maxUses = int64(*i.MaxUses)
	}
	_, err := t.q.ExecContext(ctx, addInvite,
		i.InviteID, t.g.ID, codeHash, maxUses, i.Uses, micros(i.ExpiresAt), i.CreatedBy, i.CreatedAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("write invite %s: %w", i.InviteID, err)
	}
	return nil
}

// Invite returns the invite with a code, or nil.
func (t *tx) Invite(ctx context.Context, codeHash string) (*group.Invite, error) {
	var row inviteRow
	err := t.q.QueryRowContext(ctx, invite, t.g.ID, codeHash).Scan(row.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the contract's word for "no such invite"
	}
	if err != nil {
		return nil, fmt.Errorf("read an invite: %w", err)
	}
	return row.invite(), nil
}

// UseInvite counts one use.
func (t *tx) UseInvite(ctx context.Context, inviteID string) error {
	n, err := affect(ctx, t.q, t.sql.useInvite, t.g.ID, inviteID)
	if err == nil && n == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return fmt.Errorf("use invite %s: %w", inviteID, err)
	}
	return nil
}

// RemoveInvite deletes an invite, or returns false when there is none.
func (t *tx) RemoveInvite(ctx context.Context, inviteID string) (bool, error) {
	if !storable(inviteID) {
		return false, nil
	}
	n, err := affect(ctx, t.q, removeInvite, t.g.ID, inviteID)
	if err != nil {
		return false, fmt.Errorf("remove invite %s: %w", inviteID, err)
	}
	return n > 0, nil
}

// RemoveInvitesOf deletes the invites that a user made.
func (t *tx) RemoveInvitesOf(ctx context.Context, userID string) (ids []string, err error) {
	if !storable(userID) {
		return nil, nil // no user has this id
	}
	err = each(ctx, t.q, removeInvitesOf, args{t.g.ID, userID}, func(scan scanner) error {
		var id string
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("remove the invites of %s: %w", userID, err)
	}
	slices.Sort(ids) // in the order of their creation
	return ids, nil
}

// CountInvites counts the group's invites.
func (t *tx) CountInvites(ctx context.Context) (n int, err error) {
	if err := t.q.QueryRowContext(ctx, countInvites, t.g.ID).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the invites: %w", err)
	}
	return n, nil
}

// RemoveOver deletes the invites that have expired or are used up.
func (t *tx) RemoveOver(ctx context.Context, now time.Time) (int, error) {
	n, err := affect(ctx, t.q, removeOver, t.g.ID, now.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("remove invites that are over: %w", err)
	}
	return int(n), nil
}
