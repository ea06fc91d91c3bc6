package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

type transferInput struct {
	OneGroup
	Condition
	Sent[dto.TransferRequest]
}

// transferAnswer is a Group with status 200, or a status object with 202.
type transferAnswer struct {
	Status int
	ETag   string `header:"ETag" doc:"revision of the group, in quotes; only with a Group"`
	Body   any
}

func (c *Controller) registerOwner() {
	transfer := operation(http.MethodPut, "/groups/{groupId}/owner", "transfer-group",
		"Make a member the owner (back ends), or offer the group to them (the owner); the previous owner becomes an admin",
		http.StatusOK, hidden, notEnough, "409 group_ended", "412 version_conflict")
	transfer.Responses["200"] = described("the group with its owner", &huma.Schema{Ref: "#/components/schemas/Group"})
	transfer.Responses["202"] = described("the member has to accept the offer", statusSchema(group.StatusOffered))
	register(c, transfer, c.transfer)
	register(c, operation(http.MethodPost, "/groups/{groupId}/owner/accept", "accept-ownership",
		"Become the owner of a group that its owner offers to the caller", http.StatusOK,
		hidden, outside, "409 group_ended, limit_reached"), c.acceptOwner)
	register(c, operation(http.MethodPost, "/groups/{groupId}/owner/decline", "decline-ownership",
		"Decline a group that its owner offers to the caller", http.StatusNoContent,
		hidden, outside, "409 group_ended"), c.declineOwner)
}

func (c *Controller) transfer(ctx context.Context, in *transferInput) (*transferAnswer, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	result, err := c.service.Transfer(ctx, web.Caller(ctx), in.GroupID, revision, in.Body)
	switch {
	case err != nil:
		return nil, err
	case result.Offered():
		return &transferAnswer{Status: http.StatusAccepted, Body: result}, nil
	default:
		return &transferAnswer{Status: http.StatusOK, ETag: web.ETag(result.Revision), Body: result}, nil
	}
}

func (c *Controller) acceptOwner(ctx context.Context, in *groupAction) (*Tagged, error) {
	return tagged(c.service.AcceptOwner(in.once(ctx), web.Caller(ctx), in.GroupID))
}

func (c *Controller) declineOwner(ctx context.Context, in *groupAction) (*Nothing, error) {
	return nothing(c.service.DeclineOwner(in.once(ctx), web.Caller(ctx), in.GroupID))
}
