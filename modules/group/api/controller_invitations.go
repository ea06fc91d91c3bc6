package api

import (
	"context"
	"net/http"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/web"
)

func (c *Controller) registerInvitations() {
	register(c, operation(http.MethodGet, "/me/invitations", "my-invitations",
		"List the groups that invite the caller, newest group first", http.StatusOK,
		"422 validation_failed"), c.myInvitations)
	register(c, operation(http.MethodPost, "/groups/{groupId}/invitations/accept", "accept-invitation",
		"Join a group that invites the caller", http.StatusOK,
		hidden, "403 not_member, refused", "409 group_ended, group_full, limit_reached"), c.acceptInvitation)
	register(c, operation(http.MethodPost, "/groups/{groupId}/invitations/decline", "decline-invitation",
		"Decline to join a group that invites the caller", http.StatusNoContent,
		hidden, outside, "409 group_ended"), c.declineInvitation)
}

func (c *Controller) myInvitations(ctx context.Context, in *mineInput) (*Answer[web.Page[group.ReceivedInvitation]], error) {
	return list(c, "invitations", in.Paging, func(item group.ReceivedInvitation) string { return item.GroupID },
		func(before string, limit int) ([]group.ReceivedInvitation, error) {
			return c.service.Invitations(ctx, web.Caller(ctx), before, limit)
		})
}

func (c *Controller) acceptInvitation(ctx context.Context, in *groupAction) (*Answer[group.Member], error) {
	return answer(c.service.AcceptInvitation(in.once(ctx), web.Caller(ctx), in.GroupID))
}

func (c *Controller) declineInvitation(ctx context.Context, in *groupAction) (*Nothing, error) {
	return nothing(c.service.DeclineInvitation(in.once(ctx), web.Caller(ctx), in.GroupID))
}
