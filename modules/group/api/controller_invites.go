package api

import (
	"context"
	"net/http"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

type inviteInput struct {
	OneGroup
	Once
	Body *dto.InviteRequest
}

type revokeInput struct {
	OneGroup
	InviteID string `path:"inviteId" doc:"invite id"`
}

type acceptInput struct {
	Code string `path:"code" doc:"invite code"`
	Once
}

func (c *Controller) registerInvites() {
	register(c, operation(http.MethodGet, "/groups/{groupId}/invites", "list-invites",
		"List invites that were not revoked, newest first, without codes", http.StatusOK,
		hidden, notEnough, "422 validation_failed"), c.invites)
	register(c, operation(http.MethodPost, "/groups/{groupId}/invites", "create-invite",
		"Create an invite; only this answer shows its code", http.StatusCreated,
		hidden, notEnough, "409 group_ended, limit_reached"), c.invite)
	register(c, operation(http.MethodDelete, "/groups/{groupId}/invites/{inviteId}", "revoke-invite",
		"Revoke an invite", http.StatusNoContent, hidden, notEnough, "409 group_ended"), c.revoke)
	register(c, operation(http.MethodPost, "/invites/{code}/accept", "accept-invite",
		"Join a group with an invite code", http.StatusOK,
		"403 banned, refused", "409 group_ended, group_full, limit_reached", "410 invite_invalid"), c.accept)
}

func (c *Controller) invites(ctx context.Context, in *membersInput) (*Answer[web.Page[group.Invite]], error) {
	return list(c, "invites of "+in.GroupID, in.Paging, func(item group.Invite) string { return item.InviteID },
		func(before string, limit int) ([]group.Invite, error) {
			return c.service.Invites(ctx, web.Caller(ctx), in.GroupID, before, limit)
		})
}

func (c *Controller) invite(ctx context.Context, in *inviteInput) (*Answer[group.NewInvite], error) {
	var req dto.InviteRequest
	if in.Body != nil {
		req = *in.Body
	}
	return answer(c.service.Invite(in.once(ctx), web.Caller(ctx), in.GroupID, req))
}

func (c *Controller) revoke(ctx context.Context, in *revokeInput) (*Nothing, error) {
	return nothing(c.service.Revoke(ctx, web.Caller(ctx), in.GroupID, in.InviteID))
}

func (c *Controller) accept(ctx context.Context, in *acceptInput) (*Answer[group.Member], error) {
	return answer(c.service.Accept(in.once(ctx), web.Caller(ctx), in.Code))
}
