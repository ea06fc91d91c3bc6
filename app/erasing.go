package app

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/upkeep"
	"github.com/moim-live/moim/modules/limit/redislimit"
	"github.com/moim-live/moim/modules/socket"
)

// elsewhere erases users outside of groups: in tokens, sockets, presence and limits.
type elsewhere struct {
	fx.In

	Tokens   *auth.Revocations
	Sockets  *socket.Emitter
	Presence *presence.Tracker
	Census   *redislimit.Census `optional:"true"`
}

var _ upkeep.Elsewhere = elsewhere{}

func provideElsewhere(e elsewhere) upkeep.Elsewhere { return e }

// CutOff implements [upkeep.Elsewhere].
func (e elsewhere) CutOff(ctx context.Context, userID string, before time.Time) error {
	if err := e.Tokens.Revoke(ctx, userID, before); err != nil {
		return fmt.Errorf("revoke tokens: %w", err)
	}
	// A node that this does not reach closes the sockets when it learns of the revocation.
	_ = e.Sockets.DisconnectUser(ctx, userID)
	return nil
}

// EndPresence implements [upkeep.Elsewhere].
func (e elsewhere) EndPresence(groupID, userID string) {
	e.Presence.Ended(groupID, userID, group.EndLeft)
}

// Forget implements [upkeep.Elsewhere].
func (e elsewhere) Forget(ctx context.Context, userID string) error {
	if e.Census != nil {
		if err := e.Census.Forget(ctx, userID); err != nil {
			return err
		}
	}
	return e.Tokens.Conceal(ctx, userID)
}
