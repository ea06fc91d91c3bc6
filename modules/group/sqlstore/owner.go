package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
)

const setOwner = `UPDATE groups SET owner_id = $2, updated_at = $3, offered_to = NULL WHERE id = $1`

// setRolesStatement makes member $2 the owner, and the previous owner $3 an admin.
func setRolesStatement(d database.Dialect) string {
	with, condition := ofMembers(d, `group_id = $1 AND user_id = $2`, `group_id = $1 AND user_id = $3`)
	return with + `UPDATE members SET role = CASE WHEN user_id = $2 THEN 'owner' ELSE 'admin' END WHERE ` + condition
}

// SetOwner transfers the group to another member, or to nobody, and ends an offer.
func (t *tx) SetOwner(ctx context.Context, userID string, at time.Time) error {
	if err := t.seat(ctx); err != nil {
		return err
	}
	if userID != "" {
		n, err := affect(ctx, t.q, t.sql.setRoles, t.g.ID, userID, t.g.OwnerID)
		if err != nil {
			return fmt.Errorf("hand over to %s: %w", userID, err)
		}
		if n != 2 && (n != 1 || t.g.OwnerID != "") {
			return fmt.Errorf("hand over to %s: not another member of group %s", userID, t.g.ID)
		}
	}
	at = stored(at)
	if _, err := t.q.ExecContext(ctx, setOwner, t.g.ID, userID, at.UnixMicro()); err != nil {
		return fmt.Errorf("write the owner: %w", err)
	}
	t.g.OwnerID, t.g.UpdatedAt, t.revise, t.offered = userID, at, true, ""
	return nil
}
