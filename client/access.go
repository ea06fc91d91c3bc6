package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Invite lets users who have its code join a group.
type Invite struct {
	InviteID  string     `json:"inviteId"`
	Uses      int        `json:"uses"`
	MaxUses   *int       `json:"maxUses,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	CreatedAt time.Time  `json:"createdAt"`
	CreatedBy string     `json:"createdBy"`
}

// NewInvite is an invite with its code. The server returns the code only once.
type NewInvite struct {
	Invite

	Code string `json:"code"`
}

// InviteBounds limits the use of an invite. The zero value sets no limit.
type InviteBounds struct {
	MaxUses   *int       `json:"maxUses,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// Applicant is a user who asked to join a group.
type Applicant struct {
	UserID string    `json:"userId"`
	Name   string    `json:"name,omitempty"`
	At     time.Time `json:"at"`
}

// Ban keeps a user out of a group.
type Ban struct {
	UserID    string     `json:"userId"`
	Actor     string     `json:"actor"`
	Reason    string     `json:"reason,omitempty"`
	At        time.Time  `json:"at"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"` // nil if it does not expire
}

// NewBan has the reason and the end of a ban. Both are optional.
type NewBan struct {
	Reason    string     `json:"reason,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// Mute keeps a member from posting.
type Mute struct {
	UserID    string     `json:"userId"`
	Actor     string     `json:"actor"`
	At        time.Time  `json:"at"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"` // nil if it does not expire
}

// Invites lists the usable invites of a group.
func (c *Client) Invites(ctx context.Context, groupID string) iter.Seq2[Invite, error] {
	return list[Invite](ctx, c, nil, "/groups/%s/invites", groupID)
}

// CreateInvite creates an invite.
func (c *Client) CreateInvite(ctx context.Context, groupID string, bounds InviteBounds, opts ...CallOption) (NewInvite, error) {
	return call[NewInvite](ctx, c, newRequest(http.MethodPost, "/groups/%s/invites", groupID), bounds, opts)
}

// RevokeInvite makes an invite invalid.
func (c *Client) RevokeInvite(ctx context.Context, groupID, inviteID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodDelete, "/groups/%s/invites/%s", groupID, inviteID), nil, opts)
}

// AcceptInvite makes the caller a member of the group that the invite is for.
func (c *Client) AcceptInvite(ctx context.Context, code string, opts ...CallOption) (Member, error) {
	return call[Member](ctx, c, newRequest(http.MethodPost, "/invites/%s/accept", code), nil, opts)
}

// Requests lists the users who asked to join a group.
func (c *Client) Requests(ctx context.Context, groupID string) iter.Seq2[Applicant, error] {
	return list[Applicant](ctx, c, nil, "/groups/%s/requests", groupID)
}

// ApproveRequest makes a user who asked to join a member.
func (c *Client) ApproveRequest(ctx context.Context, groupID, userID string, opts ...CallOption) (Member, error) {
	return call[Member](ctx, c, newRequest(http.MethodPost, "/groups/%s/requests/%s/approve", groupID, userID), nil, opts)
}

// RejectRequest rejects a user who asked to join.
func (c *Client) RejectRequest(ctx context.Context, groupID, userID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodPost, "/groups/%s/requests/%s/reject", groupID, userID), nil, opts)
}

// WithdrawRequest withdraws the caller's own request.
func (c *Client) WithdrawRequest(ctx context.Context, groupID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodDelete, "/groups/%s/requests/me", groupID), nil, opts)
}

// AcceptInvitation makes the caller a member of a group that has invited them.
func (c *Client) AcceptInvitation(ctx context.Context, groupID string, opts ...CallOption) (Member, error) {
	return call[Member](ctx, c, newRequest(http.MethodPost, "/groups/%s/invitations/accept", groupID), nil, opts)
}

// DeclineInvitation declines an invitation.
func (c *Client) DeclineInvitation(ctx context.Context, groupID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodPost, "/groups/%s/invitations/decline", groupID), nil, opts)
}

// Bans lists the bans of a group.
func (c *Client) Bans(ctx context.Context, groupID string) iter.Seq2[Ban, error] {
	return list[Ban](ctx, c, nil, "/groups/%s/bans", groupID)
}

// Ban bans a user, and ends their membership. See [RevokeInvites].
func (c *Client) Ban(ctx context.Context, groupID, userID string, ban NewBan, opts ...CallOption) (Ban, error) {
	return call[Ban](ctx, c, newRequest(http.MethodPut, "/groups/%s/bans/%s", groupID, userID), ban, opts)
}

// Unban lifts a ban.
func (c *Client) Unban(ctx context.Context, groupID, userID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodDelete, "/groups/%s/bans/%s", groupID, userID), nil, opts)
}

// Mutes lists the mutes of a group, including those of former members.
func (c *Client) Mutes(ctx context.Context, groupID string) iter.Seq2[Mute, error] {
	return list[Mute](ctx, c, nil, "/groups/%s/mutes", groupID)
}

// Mute mutes a member until a time. If until is nil, the mute does not expire.
func (c *Client) Mute(ctx context.Context, groupID, userID string, until *time.Time, opts ...CallOption) (Mute, error) {
	body := struct {
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	}{until}
	return call[Mute](ctx, c, newRequest(http.MethodPut, "/groups/%s/mutes/%s", groupID, userID), body, opts)
}

// Unmute lifts a mute.
func (c *Client) Unmute(ctx context.Context, groupID, userID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodDelete, "/groups/%s/mutes/%s", groupID, userID), nil, opts)
}
