package api

import (
	"context"
	"net/http"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

type groupAction struct {
	OneGroup
	Once
}

type leaveInput struct {
	OneGroup
	Once
	Body *dto.LeaveRequest
}

type membersInput struct {
	OneGroup
	web.Paging
}

type memberInput struct {
	OneGroup
	UserID string `path:"userId" doc:"user id of the member"`
}

type addMembersInput struct {
	OneGroup
	Once
	Sent[dto.AddMembersRequest]
}

type updateMemberInput struct {
	OneGroup
	UserID        string `path:"userId" doc:"user id of the member"`
	RevokeInvites bool   `query:"revokeInvites" doc:"also revoke the invites of an admin who becomes a member"`
	Sent[dto.UpdateMemberRequest]
}

type removeMemberInput struct {
	OneGroup
	UserID        string `path:"userId" doc:"user id of the member"`
	RevokeInvites bool   `query:"revokeInvites" default:"true" doc:"also revoke the invites that they made"`
}

type introduceInput struct {
	OneGroup
	Sent[dto.IntroduceRequest]
}

// MemberPage is a page of members at one version of the group. Clients apply later member
// events to it.
type MemberPage struct {
	Items      []group.ListedMember `json:"items"`
	Version    int64                `json:"version" doc:"version of the group when the page was read"`
	NextCursor string               `json:"nextCursor,omitempty" doc:"cursor of the next page; absent on the last page"`
}

func (c *Controller) registerMembers() {
	register(c, operation(http.MethodPost, "/groups/{groupId}/leave", "leave-group",
		"Leave a group", http.StatusNoContent, hidden, notEnough, "409 owner_must_transfer"), c.leave)
	register(c, operation(http.MethodGet, "/groups/{groupId}/members", "list-members",
		"List members, ordered by user id", http.StatusOK, hidden, outside, "422 validation_failed"), c.members)
	register(c, operation(http.MethodPost, "/groups/{groupId}/members", "add-members",
		"Add members, or invite them; if one user cannot be added or invited, none is", http.StatusOK,
		hidden, "403 banned, forbidden, not_member", "409 group_ended, group_full, limit_reached"), c.addMembers)
	register(c, operation(http.MethodGet, "/groups/{groupId}/members/{userId}", "get-member",
		"Read a member", http.StatusOK, hidden, outside), c.member)
	register(c, operation(http.MethodPatch, "/groups/{groupId}/members/{userId}", "update-member",
		"Change a member's role and attributes with a JSON merge patch (RFC 7396)", http.StatusOK,
		hidden, notEnough, "409 group_ended, owner_must_transfer"), c.updateMember)
	register(c, operation(http.MethodPatch, "/groups/{groupId}/members/me", "introduce-member",
		"Change the caller's own name and profile with a JSON merge patch (RFC 7396)", http.StatusOK,
		hidden, outside, "409 group_ended"), c.introduce)
	register(c, operation(http.MethodDelete, "/groups/{groupId}/members/{userId}", "remove-member",
		"Remove a member", http.StatusNoContent, hidden, notEnough, "409 group_ended, owner_must_transfer"), c.removeMember)
}

func (c *Controller) introduce(ctx context.Context, in *introduceInput) (*Answer[group.Member], error) {
	return answer(c.service.Introduce(ctx, web.Caller(ctx), in.GroupID, in.Body))
}

func (c *Controller) leave(ctx context.Context, in *leaveInput) (*Nothing, error) {
	var req dto.LeaveRequest
	if in.Body != nil {
		req = *in.Body
	}
	return nothing(c.service.LeaveFor(in.once(ctx), web.Caller(ctx), in.GroupID, req))
}

func (c *Controller) members(ctx context.Context, in *membersInput) (*Answer[MemberPage], error) {
	kind := "members of " + in.GroupID
	after, err := c.api.ParseCursor(kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	items, version, err := c.service.Members(ctx, web.Caller(ctx), in.GroupID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	p := page(c.api, kind, items, in.Limit, func(m group.ListedMember) string { return m.UserID })
	return answer(MemberPage{Items: p.Items, Version: version, NextCursor: p.NextCursor}, nil)
}

func (c *Controller) addMembers(ctx context.Context, in *addMembersInput) (*Answer[group.AddedMembers], error) {
	return answer(c.service.AddMembers(in.once(ctx), web.Caller(ctx), in.GroupID, in.Body))
}

func (c *Controller) member(ctx context.Context, in *memberInput) (*Answer[group.Member], error) {
	return answer(c.service.Member(ctx, web.Caller(ctx), in.GroupID, in.UserID))
}

func (c *Controller) updateMember(ctx context.Context, in *updateMemberInput) (*Answer[group.Member], error) {
	in.Body.RevokeInvites = in.RevokeInvites
	return answer(c.service.UpdateMember(ctx, web.Caller(ctx), in.GroupID, in.UserID, in.Body))
}

func (c *Controller) removeMember(ctx context.Context, in *removeMemberInput) (*Nothing, error) {
	return nothing(c.service.RemoveMember(ctx, web.Caller(ctx), in.GroupID, in.UserID, !in.RevokeInvites))
}
