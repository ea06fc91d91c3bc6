package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"time"
)

// User is a back end's view of a user.
type User struct {
	UserID   string   `json:"userId"`
	Groups   int      `json:"groups"` // number of groups that the user is in
	Owned    int      `json:"owned"`
	Sockets  []Socket `json:"sockets"`
	Complete bool     `json:"complete"` // all nodes have answered
	Missing  []string `json:"missing,omitempty"`
}

// Socket is a connection of a user.
type Socket struct {
	ID        string    `json:"id"`
	Node      string    `json:"node,omitempty"`
	Transport string    `json:"transport,omitempty"` // websocket or polling
	Address   string    `json:"address,omitempty"`
	Since     time.Time `json:"since"`
}

// Membership is a group as one of its members sees it.
type Membership struct {
	Group

	Role        string `json:"role"`
	ReadVersion int64  `json:"readVersion"`
	Unread      int    `json:"unread"` // number of unread messages
	Online      *int   `json:"online"` // nil if unknown
}

// Job is work that continues after the answer.
type Job struct {
	JobID string `json:"jobId"`
}

// Erasure is the progress of erasing a user.
type Erasure struct {
	JobID            string     `json:"jobId"`
	Status           string     `json:"status"` // running or done
	StartedAt        time.Time  `json:"startedAt"`
	FinishedAt       *time.Time `json:"finishedAt,omitempty"`
	GroupsLeft       int        `json:"groupsLeft"`
	GroupsHandedOver int        `json:"groupsHandedOver"`
	GroupsEnded      int        `json:"groupsEnded"`
	MessagesBlanked  int        `json:"messagesBlanked"`
	EventsBlanked    int        `json:"eventsBlanked"`
}

// SentRequest is the caller's open request to join a group.
type SentRequest struct {
	GroupID   string    `json:"groupId"`
	GroupName string    `json:"groupName,omitempty"` // empty if the caller may not see it
	At        time.Time `json:"at"`
}

// Invitation invites the caller to become a member.
type Invitation struct {
	GroupID   string    `json:"groupId"`
	GroupName string    `json:"groupName"`
	InvitedBy string    `json:"invitedBy"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// User returns a back end's view of a user. It does not say whether the user exists: the
// server knows only users in its groups.
func (c *Client) User(ctx context.Context, userID string) (User, error) {
	return call[User](ctx, c, newRequest(http.MethodGet, "/users/%s", userID), nil, nil)
}

// RenameUser changes the name of a user in all groups.
func (c *Client) RenameUser(ctx context.Context, userID, name string, opts ...CallOption) (Job, error) {
	return call[Job](ctx, c, newRequest(http.MethodPatch, "/users/%s", userID), map[string]string{"name": name}, opts)
}

// EraseUser erases a user. [Client.Erasure] returns the progress.
func (c *Client) EraseUser(ctx context.Context, userID string, opts ...CallOption) (Job, error) {
	return call[Job](ctx, c, newRequest(http.MethodDelete, "/users/%s", userID), nil, opts)
}

// Erasure returns the progress of an erasure.
func (c *Client) Erasure(ctx context.Context, jobID string) (Erasure, error) {
	return call[Erasure](ctx, c, newRequest(http.MethodGet, "/erasures/%s", jobID), nil, nil)
}

// ExportUser returns all data about a user as one JSON document. Read it to its end before
// the deadline of [Config].HTTP, and then close it.
func (c *Client) ExportUser(ctx context.Context, userID string) (io.ReadCloser, error) {
	res, err := c.do(ctx, newRequest(http.MethodGet, "/users/%s/export", userID))
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// UserGroups lists the groups of a user.
func (c *Client) UserGroups(ctx context.Context, userID string) iter.Seq2[Membership, error] {
	return list[Membership](ctx, c, nil, "/users/%s/groups", userID)
}

// DisconnectUser closes all sockets of a user, and tells their clients not to reconnect.
func (c *Client) DisconnectUser(ctx context.Context, userID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodPost, "/users/%s/disconnect", userID), nil, opts)
}

// RevokeTokens revokes the tokens of a user that were issued before a time, and closes
// their sockets.
func (c *Client) RevokeTokens(ctx context.Context, userID string, before time.Time, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodPost, "/users/%s/revoke", userID), map[string]time.Time{"before": before}, opts)
}

// MyGroups lists the groups of the caller.
func (c *Client) MyGroups(ctx context.Context) iter.Seq2[Membership, error] {
	return list[Membership](ctx, c, nil, "/me/groups")
}

// MyRequests lists the caller's open requests to join.
func (c *Client) MyRequests(ctx context.Context) iter.Seq2[SentRequest, error] {
	return list[SentRequest](ctx, c, nil, "/me/requests")
}

// MyInvitations lists the groups that have invited the caller.
func (c *Client) MyInvitations(ctx context.Context) iter.Seq2[Invitation, error] {
	return list[Invitation](ctx, c, nil, "/me/invitations")
}
