package console

import (
	"context"
	"net/url"
	"strings"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

// membersPage is the data of the view Members.
type membersPage struct {
	formPage
	groupHead
	Members table[group.ListedMember]
}

// members lists the members of a group with their presence.
func (c *Console) members(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "members")
	if err != nil {
		return nil, err
	}
	page := membersPage{formPage: v.forms(), groupHead: head}
	page.Members, err = list(v, func(m group.ListedMember) string { return m.UserID }, func(after string, limit int) ([]group.ListedMember, error) {
		members, _, err := c.deps.Groups.Members(ctx, v.caller, head.Group.ID, after, limit)
		return members, err
	})
	return page, err
}

// addMembers adds users as members, one per line.
func (c *Console) addMembers(ctx context.Context, v visit) (outcome, error) {
	var req dto.AddMembersRequest
	for line := range strings.Lines(v.sent("userIds")) {
		if id := strings.TrimSpace(line); id != "" {
			req.UserIDs = append(req.UserIDs, id)
		}
	}
	_, err := c.deps.Groups.AddMembers(ctx, v.caller, groupOf(v), req)
	return outcome{to: "members", notice: "added"}, err
}

// memberPage is the data of the view Member.
type memberPage struct {
	formPage
	groupHead
	UserID     string
	Member     *group.Member // nil if the user is not a member
	Attributes string
	Profile    string
}

// userOf returns the user of a page. The id is a query parameter, because it may contain
// characters that a path may not.
func userOf(v visit) string { return v.g.Query("user") }

// itself returns the relative address of a user's page.
func itself(v visit) string { return "?user=" + url.QueryEscape(userOf(v)) }

// member shows what a group has about one user.
func (c *Console) member(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "members")
	if err != nil {
		return nil, err
	}
	page := memberPage{formPage: v.forms(), groupHead: head, UserID: userOf(v)}
	m, err := c.deps.Groups.Member(ctx, v.caller, head.Group.ID, page.UserID)
	switch {
	case err == nil:
		page.Member, page.Attributes, page.Profile = &m, indented(m.Attributes), indented(m.Profile)
	case fault.From(err).Kind != fault.NotFound:
		return nil, err
	}
	return page, nil
}

func (c *Console) changeRole(ctx context.Context, v visit) (outcome, error) {
	role := v.sent("role")
	_, err := c.deps.Groups.UpdateMember(ctx, v.caller, groupOf(v), userOf(v), dto.UpdateMemberRequest{Role: &role, RevokeInvites: v.sent("revokeInvites") != ""})
	return outcome{to: itself(v), notice: "saved"}, err
}

func (c *Console) changeAttributes(ctx context.Context, v visit) (outcome, error) {
	m, err := c.deps.Groups.Member(ctx, v.caller, groupOf(v), userOf(v))
	if err != nil {
		return outcome{}, err
	}
	patch, err := difference("attributes", m.Attributes, v.sent("attributes"))
	if err != nil {
		return outcome{}, err
	}
	_, err = c.deps.Groups.UpdateMember(ctx, v.caller, groupOf(v), m.UserID, dto.UpdateMemberRequest{Attributes: patch})
	return outcome{to: itself(v), notice: "saved"}, err
}

func (c *Console) mute(ctx context.Context, v visit) (outcome, error) {
	expires, err := until(v, "expiresAt")
	if err == nil {
		_, err = c.deps.Groups.Mute(ctx, v.caller, groupOf(v), userOf(v), dto.MuteRequest{ExpiresAt: expires})
	}
	return outcome{to: itself(v), notice: "saved"}, err
}

func (c *Console) unmute(ctx context.Context, v visit) (outcome, error) {
	return outcome{to: itself(v), notice: "saved"}, c.deps.Groups.Unmute(ctx, v.caller, groupOf(v), userOf(v))
}

func (c *Console) removeMember(ctx context.Context, v visit) (outcome, error) {
	err := c.deps.Groups.RemoveMember(ctx, v.caller, groupOf(v), userOf(v), v.sent("keepInvites") != "")
	return outcome{to: "members", notice: "removed"}, err
}

func (c *Console) banUser(ctx context.Context, v visit) (outcome, error) {
	return c.banFrom(ctx, v, userOf(v))
}

// banFrom bans a user with the values in a form.
func (c *Console) banFrom(ctx context.Context, v visit, userID string) (outcome, error) {
	expires, err := until(v, "expiresAt")
	if err == nil {
		_, err = c.deps.Groups.Ban(ctx, v.caller, groupOf(v), userID, dto.BanRequest{
			Reason: v.sent("reason"), ExpiresAt: expires, KeepInvites: v.sent("keepInvites") != "",
		})
	}
	return outcome{to: "bans", notice: "banned"}, err
}

// transferGroup makes the member the owner.
func (c *Console) transferGroup(ctx context.Context, v visit) (outcome, error) {
	_, err := c.deps.Groups.Transfer(ctx, v.caller, groupOf(v), nil, dto.TransferRequest{UserID: userOf(v)})
	return outcome{to: "members", notice: "transferred"}, err
}
