package sqlstore

import (
	"context"
	"fmt"
)

const setOffered = `UPDATE groups SET offered_to = $2 WHERE id = $1`

// Offered returns the member to whom the group is offered.
func (t *tx) Offered() string { return t.offered }

// SetOffered offers the group to a member, or to nobody.
func (t *tx) SetOffered(ctx context.Context, userID string) error {
	if !storable(userID) {
		return errNoText
	}
	if userID == t.offered {
		return nil
	}
	var to any
	if userID != "" {
		to = userID
	}
	if _, err := t.q.ExecContext(ctx, setOffered, t.g.ID, to); err != nil {
		return fmt.Errorf("write to whom the group is offered: %w", err)
	}
	t.offered = userID
	return nil
}
