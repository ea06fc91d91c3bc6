package console

import (
	"context"

	"github.com/moim-live/moim/modules/group"
)

// mutesPage is the data of the view Mutes.
type mutesPage struct {
	formPage
	groupHead
	Mutes table[group.Mute]
}

// mutes lists the muted users of a group, including former members.
func (c *Console) mutes(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "mutes")
	if err != nil {
		return nil, err
	}
	page := mutesPage{formPage: v.forms(), groupHead: head}
	page.Mutes, err = list(v, func(m group.Mute) string { return m.UserID }, func(after string, limit int) ([]group.Mute, error) {
		return c.deps.Groups.Mutes(ctx, v.caller, head.Group.ID, after, limit)
	})
	return page, err
}

func (c *Console) unmuteOther(ctx context.Context, v visit) (outcome, error) {
	return outcome{notice: "unmuted"}, c.deps.Groups.Unmute(ctx, v.caller, groupOf(v), v.sent("userId"))
}
