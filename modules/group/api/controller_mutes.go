package api

import (
	"context"
	"net/http"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

type muteInput struct {
	OneUser
	Body *dto.MuteRequest
}

func (c *Controller) registerMutes() {
	register(c, operation(http.MethodGet, "/groups/{groupId}/mutes", "list-mutes",
		"List current mutes, also of users who are no members, ordered by user id", http.StatusOK,
		hidden, notEnough, "422 validation_failed"), c.mutes)
	register(c, operation(http.MethodPut, "/groups/{groupId}/mutes/{userId}", "mute-user",
		"Keep a member from posting, editing messages and signalling", http.StatusOK,
		hidden, notEnough, "409 group_ended, limit_reached"), c.mute)
	register(c, operation(http.MethodDelete, "/groups/{groupId}/mutes/{userId}", "unmute-user",
		"Lift a mute", http.StatusNoContent, hidden, notEnough, "409 group_ended"), c.unmute)
}

func (c *Controller) mutes(ctx context.Context, in *membersInput) (*Answer[web.Page[group.Mute]], error) {
	return list(c, "mutes of "+in.GroupID, in.Paging, func(item group.Mute) string { return item.UserID },
		func(after string, limit int) ([]group.Mute, error) {
			return c.service.Mutes(ctx, web.Caller(ctx), in.GroupID, after, limit)
		})
}

func (c *Controller) mute(ctx context.Context, in *muteInput) (*Answer[group.Mute], error) {
	var req dto.MuteRequest
	if in.Body != nil {
		req = *in.Body
	}
	return answer(c.service.Mute(ctx, web.Caller(ctx), in.GroupID, in.UserID, req))
}

func (c *Controller) unmute(ctx context.Context, in *OneUser) (*Nothing, error) {
	return nothing(c.service.Unmute(ctx, web.Caller(ctx), in.GroupID, in.UserID))
}
