package console

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// tryTTL is the validity of a token of the view Try.
const tryTTL = time.Hour

var errNotDeveloping = fault.ErrForbidden.WithMessage("only a node in development mode creates tokens, and only for requests to localhost")

// try shows a form that creates a token for a user, and what a socket with the token
// receives.
func (c *Console) try(_ context.Context, v visit) (any, error) {
	if !c.developing(v.g.Request) {
		return nil, errNotDeveloping
	}
	return v.forms(), nil
}

// tried is a token of the view Try.
type tried struct {
	Token, UserID, GroupID string
}

func (c *Console) tryToken(_ context.Context, v visit) (outcome, error) {
	id, err := c.tryingAs(v)
	if err != nil {
		return outcome{}, err
	}
	token, err := c.deps.Mint(id)
	return outcome{once: tried{Token: token, UserID: id.UserID, GroupID: v.sent("groupId")}}, err
}

// tryPost posts a message as the user.
func (c *Console) tryPost(ctx context.Context, v visit) (outcome, error) {
	id, err := c.tryingAs(v)
	if err != nil {
		return outcome{}, err
	}
	data, err := json.Marshal(map[string]string{"text": v.sent("text")})
	if err != nil {
		return outcome{}, err
	}
	_, err = c.deps.Groups.Post(ctx, id, v.sent("groupId"), dto.MessageRequest{Data: data})
	return outcome{notice: "posted"}, err
}

// tryingAs returns the user in a form.
func (c *Console) tryingAs(v visit) (auth.Identity, error) {
	userID := v.sent("userId")
	switch {
	case !c.developing(v.g.Request):
		return auth.Identity{}, errNotDeveloping
	case !dto.ValidUserID(userID):
		return auth.Identity{}, mistake("userId", "is not a user id")
	}
	return auth.Identity{UserID: userID, Expires: time.Now().Add(tryTTL)}, nil
}
