package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/web"
)

type userAction struct {
	OneUser
	Once
}

// joinAnswer is a Member with status 200, or a status object with 202.
type joinAnswer struct {
	Status int
	Body   any
}

func (c *Controller) registerRequests() {
	register(c, operation(http.MethodGet, "/me/requests", "my-requests",
		"List the caller's open join requests, newest group first", http.StatusOK,
		"422 validation_failed"), c.myRequests)
	register(c, operation(http.MethodDelete, "/groups/{groupId}/requests/me", "withdraw-request",
		"Withdraw the caller's join request", http.StatusNoContent, hidden, "409 group_ended"), c.withdraw)
	join := operation(http.MethodPost, "/groups/{groupId}/join", "join-group",
		"Join a group, or request to join it", http.StatusOK,
		hidden, "403 banned, invite_required, refused", "409 group_ended, group_full, limit_reached")
	join.Responses["200"] = described("the caller is now a member", &huma.Schema{Ref: "#/components/schemas/Member"})
	join.Responses["202"] = described("an admin has to approve the request", statusSchema(group.StatusRequested))
	register(c, join, c.join)
	register(c, operation(http.MethodGet, "/groups/{groupId}/requests", "list-requests",
		"List join requests, ordered by user id", http.StatusOK,
		hidden, notEnough, "422 validation_failed"), c.requests)
	register(c, operation(http.MethodPost, "/groups/{groupId}/requests/{userId}/approve", "approve-request",
		"Approve a join request", http.StatusOK,
		hidden, notEnough, "409 group_ended, group_full, limit_reached"), c.approve)
	register(c, operation(http.MethodPost, "/groups/{groupId}/requests/{userId}/reject", "reject-request",
		"Reject a join request", http.StatusNoContent, hidden, notEnough, "409 group_ended"), c.reject)
}

// statusSchema describes an answer that has only a status.
func statusSchema(status string) *huma.Schema {
	return &huma.Schema{
		Type:       huma.TypeObject,
		Properties: map[string]*huma.Schema{"status": {Type: huma.TypeString, Enum: []any{status}}},
		Required:   []string{"status"},
	}
}

func described(description string, schema *huma.Schema) *huma.Response {
	return &huma.Response{
		Description: description,
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}
}

func (c *Controller) join(ctx context.Context, in *groupAction) (*joinAnswer, error) {
	joined, err := c.service.Join(in.once(ctx), web.Caller(ctx), in.GroupID)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if joined.Requested() {
		status = http.StatusAccepted
	}
	return &joinAnswer{Status: status, Body: joined}, nil
}

func (c *Controller) requests(ctx context.Context, in *membersInput) (*Answer[web.Page[group.Applicant]], error) {
	return list(c, "requests of "+in.GroupID, in.Paging, func(item group.Applicant) string { return item.UserID },
		func(after string, limit int) ([]group.Applicant, error) {
			return c.service.Applicants(ctx, web.Caller(ctx), in.GroupID, after, limit)
		})
}

func (c *Controller) approve(ctx context.Context, in *userAction) (*Answer[group.Member], error) {
	return answer(c.service.Approve(in.once(ctx), web.Caller(ctx), in.GroupID, in.UserID))
}

func (c *Controller) reject(ctx context.Context, in *userAction) (*Nothing, error) {
	return nothing(c.service.Reject(in.once(ctx), web.Caller(ctx), in.GroupID, in.UserID))
}

func (c *Controller) myRequests(ctx context.Context, in *mineInput) (*Answer[web.Page[group.SentRequest]], error) {
	return list(c, "my requests", in.Paging, func(item group.SentRequest) string { return item.GroupID },
		func(before string, limit int) ([]group.SentRequest, error) {
			return c.service.SentRequests(ctx, web.Caller(ctx), before, limit)
		})
}

func (c *Controller) withdraw(ctx context.Context, in *OneGroup) (*Nothing, error) {
	return nothing(c.service.Withdraw(ctx, web.Caller(ctx), in.GroupID))
}
