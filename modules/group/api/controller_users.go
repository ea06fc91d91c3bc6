package api

import (
	"context"
	"net/http"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

// Disconnector closes a user's sockets on every node. socket.Emitter fulfils
// it.
type Disconnector interface {
	DisconnectUser(ctx context.Context, userID string) error
}

// Revoker refuses the tokens of a user that were issued before an instant, and closes
// the sockets that have one. auth.Revocations fulfils it.
type Revoker interface {
	Revoke(ctx context.Context, userID string, before time.Time) error
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
}

// backEnd returns an error unless the caller is a back end that may write users.
func backEnd(ctx context.Context) error {
	caller := web.Caller(ctx)
	if !caller.Admin {
		return errBackEndsOnly
	}
	return caller.Check(auth.WriteUsers)
}

type disconnectInput struct {
	Once
	UserID string `path:"userId" doc:"user id"`
}

// disconnect closes a user's sockets: there is no more to it than asking.
func (c *Controller) disconnect(ctx context.Context, in *disconnectInput) (*Nothing, error) {
	if err := backEnd(ctx); err != nil {
		return nil, err
	}
	if !dto.ValidUserID(in.UserID) {
		return nil, fault.Validation(fault.Field{Field: "userId", Message: "is not a user id"})
	}
	err := c.service.Repeatable(in.once(ctx), web.Caller(ctx), "disconnect "+in.UserID, func() error {
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

// revokeTokens needs no idempotency key: a repeat with the same instant changes nothing.
func (c *Controller) revokeTokens(ctx context.Context, in *revokeTokensInput) (*Nothing, error) {
	if err := backEnd(ctx); err != nil {
		return nil, err
	}
	var req dto.RevokeRequest
	if in.Body != nil {
		req = *in.Body
	}
	before, err := req.Instant(in.UserID, time.Now())
	if err != nil {
		return nil, err
	}
	return nothing(c.tokens.Revoke(ctx, in.UserID, before))
}
