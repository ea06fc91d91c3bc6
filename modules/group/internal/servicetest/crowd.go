package servicetest

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/modules/group"
)

// Crowd is a presence keeper with the same users present in every group.
type Crowd []group.Present

// List implements group.PresenceKeeper.
func (c Crowd) List(context.Context, string) ([]group.Present, error) { return c, nil }

// Count implements group.PresenceKeeper.
func (c Crowd) Count(_ context.Context, groupIDs []string) ([]int, error) {
	counts := make([]int, len(groupIDs))
	for i := range counts {
		counts[i] = len(c)
	}
	return counts, nil
}

// SetState implements group.PresenceKeeper.
func (c Crowd) SetState(_ context.Context, _, userID string, state json.RawMessage) error {
	for i := range c {
		if c[i].UserID == userID {
			c[i].State = state
		}
	}
	return nil
}
