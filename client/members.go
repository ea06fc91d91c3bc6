package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"
)

// Member is a user in a group.
type Member struct {
	UserID     string          `json:"userId"`
	Name       string          `json:"name,omitempty"`
	Role       string          `json:"role"` // owner, admin or member
	Attributes json.RawMessage `json:"attributes"`
	Profile    json.RawMessage `json:"profile,omitempty"` // set by the member
	JoinedAt   time.Time       `json:"joinedAt"`
	Muted      bool            `json:"muted,omitempty"`
	MutedUntil *time.Time      `json:"mutedUntil,omitempty"` // nil if the mute does not expire
}

// ListedMember is a member in a list.
type ListedMember struct {
	Member

	Status      string `json:"status,omitempty"`      // online, reconnecting or offline; empty if unknown
	ReadVersion *int64 `json:"readVersion,omitempty"` // in groups with read receipts
}

// AddedMembers is the result of adding users.
type AddedMembers struct {
	Items   []Member `json:"items"`             // the new members
	Invited []string `json:"invited,omitempty"` // users who have to accept first; always empty for back ends
	Version int64    `json:"version"`
}

// MemberChange changes a member. nil fields stay unchanged.
type MemberChange struct {
	Role       *string `json:"role,omitempty"`       // admin or member
	Attributes any     `json:"attributes,omitempty"` // a merge patch (RFC 7396)
}

// Introduction changes a member's own name and profile. nil fields stay unchanged.
type Introduction struct {
	Name    *string `json:"name,omitempty"`
	Profile any     `json:"profile,omitempty"` // a merge patch (RFC 7396)
}

// Members lists the members of a group.
func (c *Client) Members(ctx context.Context, groupID string) iter.Seq2[ListedMember, error] {
	return list[ListedMember](ctx, c, nil, "/groups/%s/members", groupID)
}

// Member returns a member of a group.
func (c *Client) Member(ctx context.Context, groupID, userID string) (Member, error) {
	return call[Member](ctx, c, newRequest(http.MethodGet, "/groups/%s/members/%s", groupID, userID), nil, nil)
}

// AddMembers adds at most 500 users to a group. names has the names of new members by user
// id; it may be nil.
func (c *Client) AddMembers(ctx context.Context, groupID string, userIDs []string, names map[string]string, opts ...CallOption) (AddedMembers, error) {
	body := struct {
		UserIDs []string          `json:"userIds"`
		Names   map[string]string `json:"names,omitempty"`
	}{userIDs, names}
	return call[AddedMembers](ctx, c, newRequest(http.MethodPost, "/groups/%s/members", groupID), body, opts)
}

// UpdateMember changes a member. See [RevokeInvites].
func (c *Client) UpdateMember(ctx context.Context, groupID, userID string, change MemberChange, opts ...CallOption) (Member, error) {
	return call[Member](ctx, c, newRequest(http.MethodPatch, "/groups/%s/members/%s", groupID, userID), change, opts)
}

// RemoveMember ends a membership. See [RevokeInvites].
func (c *Client) RemoveMember(ctx context.Context, groupID, userID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodDelete, "/groups/%s/members/%s", groupID, userID), nil, opts)
}

// Introduce changes the caller's own name and profile in a group.
func (c *Client) Introduce(ctx context.Context, groupID string, about Introduction, opts ...CallOption) (Member, error) {
	return call[Member](ctx, c, newRequest(http.MethodPatch, "/groups/%s/members/me", groupID), about, opts)
}

// Join makes the caller a member. If an admin has to approve, requested is true.
func (c *Client) Join(ctx context.Context, groupID string, opts ...CallOption) (m Member, requested bool, err error) {
	answer, err := call[struct {
		Member

		Status string `json:"status"`
	}](ctx, c, newRequest(http.MethodPost, "/groups/%s/join", groupID), nil, opts)
	return answer.Member, answer.Status == "requested", err
}

// Leave ends the caller's membership. A back end may end that of userID.
func (c *Client) Leave(ctx context.Context, groupID, userID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodPost, "/groups/%s/leave", groupID), behalf(userID), opts)
}

// behalf returns the body of a back end's call on behalf of a user, or nil.
func behalf(userID string) any {
	if userID == "" {
		return nil
	}
	return map[string]string{"userId": userID}
}

// MarkRead records that the caller has read a group up to a version. A back end may do this
// for userID.
func (c *Client) MarkRead(ctx context.Context, groupID, userID string, version int64, opts ...CallOption) error {
	body := struct {
		UserID  string `json:"userId,omitempty"`
		Version int64  `json:"version"`
	}{userID, version}
	return tell(ctx, c, newRequest(http.MethodPut, "/groups/%s/read", groupID), body, opts)
}
