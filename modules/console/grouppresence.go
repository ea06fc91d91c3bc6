package console

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// presencePage is the data of the view Presence.
type presencePage struct {
	groupHead
	People table[presentRow]
}

// presentRow is a member and the rest of their grace.
type presentRow struct {
	group.Present
	Left  string // time until a reconnecting member is offline
	State string
}

// presence lists the members who are online, reconnecting or went offline lately.
func (c *Console) presence(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "presence")
	if err != nil {
		return nil, err
	}
	page := presencePage{groupHead: head}
	page.People, err = list(v, presentRow.Place, func(after string, limit int) ([]presentRow, error) {
		people, err := c.deps.Groups.Presence(ctx, v.caller, head.Group.ID, after, limit)
		rows := make([]presentRow, len(people))
		for i, p := range people {
			rows[i] = presentRow{Present: p, State: string(p.State)}
			if p.Status == group.StatusReconnecting && p.LastSeenAt != nil {
				rows[i].Left = max(0, c.deps.Grace-p.AsOf.Sub(*p.LastSeenAt)).Round(time.Second).String()
			}
		}
		return rows, err
	})
	return page, err
}
