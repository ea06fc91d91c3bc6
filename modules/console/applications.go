package console

import (
	"context"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

// requestsPage is the data of the view Requests.
type requestsPage struct {
	formPage
	groupHead
	Applicants table[group.Applicant]
}

// requests lists the users who asked to become members.
func (c *Console) requests(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "requests")
	if err != nil {
		return nil, err
	}
	page := requestsPage{formPage: v.forms(), groupHead: head}
	page.Applicants, err = list(v, func(a group.Applicant) string { return a.UserID }, func(after string, limit int) ([]group.Applicant, error) {
		return c.deps.Groups.Applicants(ctx, v.caller, head.Group.ID, after, limit)
	})
	return page, err
}

func (c *Console) approve(ctx context.Context, v visit) (outcome, error) {
	_, err := c.deps.Groups.Approve(ctx, v.caller, groupOf(v), v.sent("userId"))
	return outcome{notice: "approved"}, err
}

func (c *Console) reject(ctx context.Context, v visit) (outcome, error) {
	return outcome{notice: "rejected"}, c.deps.Groups.Reject(ctx, v.caller, groupOf(v), v.sent("userId"))
}

// invitesPage is the data of the view Invites.
type invitesPage struct {
	formPage
	groupHead
	Invites table[group.Invite]
}

// invites lists the invites of a group. Their codes are not stored, so they cannot be
// shown.
func (c *Console) invites(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "invites")
	if err != nil {
		return nil, err
	}
	page := invitesPage{formPage: v.forms(), groupHead: head}
	page.Invites, err = list(v, func(i group.Invite) string { return i.InviteID }, func(before string, limit int) ([]group.Invite, error) {
		return c.deps.Groups.Invites(ctx, v.caller, head.Group.ID, before, limit)
	})
	return page, err
}

// createInvite creates an invite. The page shows its code once.
func (c *Console) createInvite(ctx context.Context, v visit) (outcome, error) {
	expires, err := until(v, "expiresAt")
	if err != nil {
		return outcome{}, err
	}
	req := dto.InviteRequest{ExpiresAt: expires}
	if uses := strings.TrimSpace(v.sent("maxUses")); uses != "" {
		n, err := strconv.Atoi(uses)
		if err != nil {
			return outcome{}, mistake("maxUses", "must be a whole number, or empty")
		}
		req.MaxUses = &n
	}
	made, err := c.deps.Groups.Invite(ctx, v.caller, groupOf(v), req)
	return outcome{once: made.Code}, err
}

func (c *Console) revokeInvite(ctx context.Context, v visit) (outcome, error) {
	return outcome{notice: "revoked"}, c.deps.Groups.Revoke(ctx, v.caller, groupOf(v), v.sent("inviteId"))
}

// bansPage is the data of the view Bans.
type bansPage struct {
	formPage
	groupHead
	Bans table[group.Ban]
}

// bans lists the users who are banned from a group.
func (c *Console) bans(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "bans")
	if err != nil {
		return nil, err
	}
	page := bansPage{formPage: v.forms(), groupHead: head}
	page.Bans, err = list(v, func(b group.Ban) string { return b.UserID }, func(after string, limit int) ([]group.Ban, error) {
		return c.deps.Groups.Bans(ctx, v.caller, head.Group.ID, after, limit)
	})
	return page, err
}

func (c *Console) banOther(ctx context.Context, v visit) (outcome, error) {
	return c.banFrom(ctx, v, v.sent("userId"))
}

func (c *Console) unban(ctx context.Context, v visit) (outcome, error) {
	return outcome{notice: "unbanned"}, c.deps.Groups.Unban(ctx, v.caller, groupOf(v), v.sent("userId"))
}
