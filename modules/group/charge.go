package group

import (
	"context"
	"math"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/limit"
)

// Audience estimates the number of receivers in a group. [feed.Feed] implements it.
type Audience interface {
	// Audience estimates how many sockets are subscribed to a group on all nodes. It does
	// not block.
	Audience(groupID string) int
}

// charge calls ask, which may return a limit's error. Back ends have no limits.
func charge(caller auth.Identity, ask func(userID string) error) error {
	if caller.Admin {
		return nil
	}
	return ask(caller.UserID)
}

// chargeDeliveries charges the caller for sending size bytes to a group's subscribers, but
// to at most most of them.
func (s *Service) chargeDeliveries(caller auth.Identity, groupID string, size, most int) error {
	if caller.Admin || s.audience == nil {
		return nil
	}
	return s.limits.Deliver(caller.UserID, min(s.audience.Audience(groupID), most), size)
}

// MayRead charges the caller for a read that the service does not make itself.
func (s *Service) MayRead(caller auth.Identity) error { return charge(caller, s.limits.Read) }

// chargeJoin charges a caller who is not a member for joining a group, before a back end is
// asked about it.
func (s *Service) chargeJoin(caller auth.Identity, groupID string, about *inquiry) error {
	if about != nil && about.answered {
		return nil
	}
	return charge(caller, func(userID string) error { return s.limits.Join(userID, groupID) })
}

// userSockets is the assumed number of sockets of a user, to charge what is sent to them.
const userSockets = 2

// chargeMessage charges the caller for a message of size bytes that is stored and sent to a
// group's subscribers.
func (s *Service) chargeMessage(caller auth.Identity, groupID string, size int) error {
	store := func(userID string) error { return s.limits.Message(userID, size) }
	if err := charge(caller, store); err != nil {
		return err
	}
	return s.chargeDeliveries(caller, groupID, size, math.MaxInt)
}

// changeSize is the size, in bytes, that a change is charged with.
const changeSize = 1 << 10

// chargeChange charges the caller for a change that is stored.
func (s *Service) chargeChange(caller auth.Identity) error {
	return charge(caller, func(userID string) error { return s.limits.Message(userID, changeSize) })
}

// checkRows returns ErrLimitReached if a group already has as many rows as c allows. count
// counts them.
func checkRows(ctx context.Context, caller auth.Identity, c limit.Cap, count func(ctx context.Context, most int) (int, error), message string) error {
	if caller.Admin || c == limit.NoCap {
		return nil
	}
	n, err := count(ctx, int(c))
	if err == nil && c.Exceeded(n+1) {
		err = ErrLimitReached.WithMessage(message)
	}
	return err
}
