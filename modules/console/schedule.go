package console

import (
	"context"

	"github.com/moim-live/moim/modules/group"
)

// schedule lists the next timers of all groups.
func (c *Console) schedule(ctx context.Context, v visit) (any, error) {
	return list(v, group.Timer.Place, func(after string, limit int) ([]group.Timer, error) {
		return c.deps.Groups.Timers(ctx, v.caller, after, limit)
	})
}
