package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

// Users knows the sockets of users on all nodes. socket.Emitter implements it.
type Users interface {
	// DisconnectUser closes a user's sockets.
	DisconnectUser(ctx context.Context, userID string) error
	// SocketsOfUser returns a user's sockets, and the names of nodes that did not
	// answer before ctx ended. After an error, sockets of other nodes may be missing.
	SocketsOfUser(ctx context.Context, userID string) (found []socket.Info, missing []string, err error)
}

func (c *Controller) registerUsers() {
	op := operation(http.MethodPost, "/users/{userId}/disconnect", "disconnect-user",
		"Close all sockets of a user on every node; for back ends only", http.StatusNoContent, "403 forbidden")
	op.Tags = []string{"users"}
	register(c, op, c.disconnect)
	op = operation(http.MethodPost, "/users/{userId}/revoke", "revoke-tokens",
		"Refuse the tokens of a user that were issued before an instant, and close the sockets that have one; for back ends only",
		http.StatusNoContent, "403 forbidden")
	op.Tags = []string{"users"}
	register(c, op, c.revokeTokens)
	op = operation(http.MethodGet, "/users/{userId}", "get-user",
		"Count the groups of a user, and list their sockets on all nodes; for back ends only", http.StatusOK,
		"403 forbidden", "422 validation_failed")
	op.Tags = []string{"users"}
	register(c, op, c.user)
	op = operation(http.MethodGet, "/users/{userId}/groups", "list-user-groups",
		"List the groups of a user, newest first; for back ends only", http.StatusOK,
		"403 forbidden", "422 validation_failed")
	op.Tags = []string{"users"}
	register(c, op, c.userGroups)
	op = operation(http.MethodPatch, "/users/{userId}", "rename-user",
		"Give a user a name in all their groups, in the background; for back ends only", http.StatusAccepted, "403 forbidden")
	op.Tags = []string{"users"}
	register(c, op, c.rename)
}

type renameInput struct {
	UserID string `path:"userId" doc:"user id"`
	Sent[dto.RenameRequest]
}

// Job is the answer of a call whose work continues in the background.
type Job struct {
	JobID string `json:"jobId"`
}

func (c *Controller) rename(ctx context.Context, in *renameInput) (*Answer[Job], error) {
	id, err := c.service.RenameUser(ctx, web.Caller(ctx), in.UserID, in.Body)
	return answer(Job{JobID: id}, err)
}

type userInput struct {
	UserID string `path:"userId" doc:"user id"`
}

type userGroupsInput struct {
	UserID string `path:"userId" doc:"user id"`
	web.Paging
}

// User is what a back end gets about a user.
type User struct {
	UserID string `json:"userId"`
	group.UserTally
	Sockets  []UserSocket `json:"sockets" doc:"in order of since"`
	Complete bool         `json:"complete" doc:"false: sockets of other nodes may be missing, because a node did not answer in time"`
	Missing  []string     `json:"missing,omitempty" doc:"nodes that did not answer: their node.url, or their id"`
}

// UserSocket is one connection of a user, on any node.
type UserSocket struct {
	ID        string    `json:"id"`
	Node      string    `json:"node,omitempty" doc:"node.url of the node, or its id"`
	Transport string    `json:"transport,omitempty" enum:"polling,websocket"`
	Address   string    `json:"address,omitempty" doc:"IP address of the client"`
	Since     time.Time `json:"since,omitzero" doc:"when the client connected"`
}

// socketsPatience limits the time that other nodes have to report a user's sockets.
const socketsPatience = 2 * time.Second

func (c *Controller) user(ctx context.Context, in *userInput) (*Answer[User], error) {
	tally, err := c.service.TallyUser(ctx, web.Caller(ctx), in.UserID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, socketsPatience)
	defer cancel()
	found, missing, err := c.users.SocketsOfUser(ctx, in.UserID)
	u := User{UserID: in.UserID, UserTally: tally, Sockets: make([]UserSocket, len(found)), Complete: err == nil, Missing: missing}
	for i, s := range found {
		u.Sockets[i] = UserSocket{ID: s.ID, Node: s.Node, Transport: s.Transport, Address: s.Address, Since: s.Since.UTC()}
	}
	slices.SortFunc(u.Sockets, func(a, b UserSocket) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
	return answer(u, nil)
}

func (c *Controller) userGroups(ctx context.Context, in *userGroupsInput) (*Answer[web.Page[group.Membership]], error) {
	return list(c, "groups of "+in.UserID, in.Paging, func(m group.Membership) string { return m.ID },
		func(before string, limit int) ([]group.Membership, error) {
			return c.service.ListGroupsOf(ctx, web.Caller(ctx), in.UserID, before, limit)
		})
}

type disconnectInput struct {
	Once
	UserID string `path:"userId" doc:"user id"`
}

// disconnect asks all nodes to close a user's sockets.
func (c *Controller) disconnect(ctx context.Context, in *disconnectInput) (*Nothing, error) {
	err := c.service.DisconnectUser(in.once(ctx), web.Caller(ctx), in.UserID, func() error {
		if err := c.users.DisconnectUser(ctx, in.UserID); err != nil {
			return fault.ErrUnavailable.WithMessage("not every node could be told; try again").WithCause(err)
		}
		return nil
	})
	return nothing(err)
}

type revokeTokensInput struct {
	UserID string `path:"userId" doc:"user id"`
	Body   *dto.RevokeRequest
}

func (c *Controller) revokeTokens(ctx context.Context, in *revokeTokensInput) (*Nothing, error) {
	var req dto.RevokeRequest
	if in.Body != nil {
		req = *in.Body
	}
	return nothing(c.service.RevokeTokens(ctx, web.Caller(ctx), c.tokens, in.UserID, req))
}
