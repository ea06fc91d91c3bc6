package api

import (
	"context"
	"net/http"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

// OneUser is a user in a path. The user need not be a member of the group.
type OneUser struct {
	OneGroup
	UserID string `path:"userId" doc:"user id"`
}

type banInput struct {
	OneUser
	RevokeInvites bool `query:"revokeInvites" default:"true" doc:"also revoke the invites that the user made"`
	Body          *dto.BanRequest
}

func (c *Controller) registerBans() {
	register(c, operation(http.MethodGet, "/groups/{groupId}/bans", "list-bans",
		"List current bans, ordered by user id", http.StatusOK,
		hidden, notEnough, "422 validation_failed"), c.bans)
	register(c, operation(http.MethodPut, "/groups/{groupId}/bans/{userId}", "ban-user",
		"Ban a user and end their membership", http.StatusOK,
		hidden, notEnough, "409 group_ended, owner_must_transfer"), c.ban)
	register(c, operation(http.MethodDelete, "/groups/{groupId}/bans/{userId}", "unban-user",
		"Lift a ban", http.StatusNoContent, hidden, notEnough, "409 group_ended"), c.unban)
}

func (c *Controller) bans(ctx context.Context, in *membersInput) (*Answer[web.Page[group.Ban]], error) {
	return list(c, "bans of "+in.GroupID, in.Paging, func(item group.Ban) string { return item.UserID },
		func(after string, limit int) ([]group.Ban, error) {
			return c.service.Bans(ctx, web.Caller(ctx), in.GroupID, after, limit)
		})
}

func (c *Controller) ban(ctx context.Context, in *banInput) (*Answer[group.Ban], error) {
	var req dto.BanRequest
	if in.Body != nil {
		req = *in.Body
	}
	req.KeepInvites = !in.RevokeInvites
	return answer(c.service.Ban(ctx, web.Caller(ctx), in.GroupID, in.UserID, req))
}

func (c *Controller) unban(ctx context.Context, in *OneUser) (*Nothing, error) {
	return nothing(c.service.Unban(ctx, web.Caller(ctx), in.GroupID, in.UserID))
}
