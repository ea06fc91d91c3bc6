package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// Tally is the number of a user's groups. Deleted groups do not count.
//
// A group counts as owned by its creator as long as it exists, even after a transfer, when
// it also counts for the new owner. Otherwise a user could create any number of groups by
// giving them away.
type Tally struct {
	Owned  int // groups that the user owns or created
	Joined int // groups that the user is a member of
}

// TallyTx is the part of a [Tx] that counts the groups of users.
type TallyTx interface {
	// Tally returns the number of users' groups before this change. Users without groups
	// may be missing. A large deleted group may count for some of its members until the
	// next [upkeep.Trimmer.Trim]. Until the transaction ends, other transactions that
	// change the counts of these users wait. Call Tally at most once in a change, for all
	// users whose counts the change raises, because two calls could deadlock.
	Tally(ctx context.Context, userIDs ...string) (map[string]Tally, error)
}

var (
	errOwnsTooMany   = ErrLimitReached.WithMessage("a user cannot own, or have created, more groups on this server")
	errJoinedTooMany = ErrLimitReached.WithMessage("a user cannot be in more groups on this server")
)

// mayCreate returns the check for the owner of a new group. It is nil for back ends, which
// have no limits.
func (s *Service) mayCreate(caller auth.Identity, about *inquiry) func(Tally) error {
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
			return about.due()
		}
	}
}

// mayOwn checks that a user may own the group of another owner. It calls Tally for both
// users, because both counts change and a change may call Tally only once.
func (s *Service) mayOwn(ctx context.Context, tx TallyTx, caller auth.Identity, userID, ownerID string) error {
	if caller.Admin {
		return nil
	}
	tallies, err := tx.Tally(ctx, userID, ownerID)
	if err == nil && tallies[userID].Owned >= s.cfg.LimitOwned {
		err = errOwnsTooMany
	}
	return err
}

// candidate is a user who may become a member, and the request's field with the user's id,
// if any.
type candidate struct {
	userID string
	field  string
}

// mayBeIn checks that each user may be in one more group. It calls Tally.
func (s *Service) mayBeIn(ctx context.Context, tx TallyTx, caller auth.Identity, users ...candidate) error {
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

// blame returns err with the candidate's field.
func (c candidate) blame(err *fault.Error, message string) *fault.Error {
	e := err.WithMessage(err.Message)
	if c.field != "" {
		e.Fields = []fault.Field{{Field: c.field, Message: message}}
	}
	return e
}
