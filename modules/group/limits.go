package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// Tally counts a user's groups. Deleted groups do not count.
//
// A group that a user created counts as owned by them for as long as it exists, even
// when they have given it to another user, for whom it counts too. Otherwise a user
// could make any number of groups by giving them away.
type Tally struct {
	Owned  int // owns or created
	Joined int // is a member of
}

// TallyTx is the part of a [Tx] that counts the groups of users.
type TallyTx interface {
	// Tally returns the number of users' groups as it was before this change. Users
	// who have none may be missing. A large group that was deleted may count for
	// some of its members until the next [upkeep.Trimmer.Trim]. Until the
	// transaction ends, other transactions that change the number of one of these
	// users wait. Call it once in a change at most, for all users whose number the
	// change raises: two calls could deadlock.
	Tally(ctx context.Context, userIDs ...string) (map[string]Tally, error)
}

var (
	errOwnsTooMany   = ErrLimitReached.WithMessage("a user cannot own, or have created, more groups on this server")
	errJoinedTooMany = ErrLimitReached.WithMessage("a user cannot be in more groups on this server")
)

// mayCreate returns the check of the owner of a new group. It is nil for back
// ends, which have no limits.
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

// mayOwn checks that a user may own the group of another owner, too. It calls
// Tally, which a change does once, for both, because both numbers change.
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

// candidate is a user who may become a member, and the field of the request that
// names them, if any.
type candidate struct {
	userID string
	field  string
}

// mayBeIn checks that users may be in one more group each. It calls Tally.
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
