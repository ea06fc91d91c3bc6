package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// Tally is how many groups a user owns, and is in, those included. Deleted
// groups do not count.
type Tally struct {
	Owned  int
	Joined int
}

var (
	errOwnsTooMany   = ErrLimitReached.WithMessage("a user cannot own more groups on this server")
	errJoinedTooMany = ErrLimitReached.WithMessage("a user cannot be in more groups on this server")
)

// mayCreate returns what a new group's owner is asked; nil for back ends, whom
// no limit concerns.
func (s *Service) mayCreate(caller auth.Identity) func(Tally) error {
	if caller.Admin {
		return nil
	}
	return func(t Tally) error {
		switch {
		case t.Owned >= s.cfg.LimitOwned:
			return errOwnsTooMany
		case t.Joined >= s.cfg.LimitJoined:
			return errJoinedTooMany
		default:
			return nil
		}
	}
}

// mayOwn says whether a member may own one group more. Like mayBeIn it counts,
// which a change does once.
func (s *Service) mayOwn(ctx context.Context, tx Tx, caller auth.Identity, userID string) error {
	if caller.Admin {
		return nil
	}
	tallies, err := tx.Tally(ctx, userID)
	if err == nil && tallies[userID].Owned >= s.cfg.LimitOwned {
		err = errOwnsTooMany
	}
	return err
}

// candidate is a user who is to become a member, and the field of the request
// that names them, if one does.
type candidate struct {
	userID string
	field  string
}

// mayBeIn says whether users may be in one group more.
func (s *Service) mayBeIn(ctx context.Context, tx Tx, caller auth.Identity, users ...candidate) error {
	if caller.Admin || len(users) == 0 {
		return nil
	}
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = u.userID
	}
	tallies, err := tx.Tally(ctx, ids...)
	if err != nil {
		return err
	}
	for _, u := range users {
		if tallies[u.userID].Joined >= s.cfg.LimitJoined {
			return u.blame(errJoinedTooMany, "is in as many groups as a user may be")
		}
	}
	return nil
}

// blame returns err with the field that is at fault for it.
func (c candidate) blame(err *fault.Error, message string) *fault.Error {
	e := err.WithMessage(err.Message)
	if c.field != "" {
		e.Fields = []fault.Field{{Field: c.field, Message: message}}
	}
	return e
}
