package sqlstore

import (
	"context"
	"fmt"
	"time"
)

const (
	setOwner = `UPDATE groups SET owner_id = $2, updated_at = $3 WHERE id = $1`
	setRoles = `UPDATE members SET role = CASE WHEN user_id = $2 THEN 'owner' ELSE 'admin' END
		WHERE group_id = $1 AND user_id IN ($2, $3)`
)

// SetOwner hands the group to another member.
func (t *tx) SetOwner(ctx context.Context, userID string, at time.Time) error {
	if err := t.seat(ctx); err != nil {
		return err
	}
	result, err := t.q.ExecContext(ctx, setRoles, t.g.ID, userID, t.g.OwnerID)
	if err != nil {
		return fmt.Errorf("hand over to %s: %w", userID, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("hand over to %s: %w", userID, err)
	}
	if n != 2 {
		return fmt.Errorf("hand over to %s: not another member of group %s", userID, t.g.ID)
	}
	at = stored(at)
	if _, err := t.q.ExecContext(ctx, setOwner, t.g.ID, userID, at.UnixMicro()); err != nil {
		return fmt.Errorf("write the owner: %w", err)
	}
	t.g.OwnerID, t.g.UpdatedAt, t.revise = userID, at, true
	return nil
}
