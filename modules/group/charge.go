package group

import (
	"context"
	"math"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/limit"
)

// Audience knows who receives what is sent to a group. [feed.Feed] fulfils it.
type Audience interface {
	// Audience estimates how many sockets are subscribed to a group on all nodes. It does
	// not block.
	Audience(groupID string) int
}

// charge asks for something that limits may refuse. Back ends have no limits.
func charge(caller auth.Identity, ask func(userID string) error) error {
	if caller.Admin {
		return nil
	}
	return ask(caller.UserID)
}

// chargeDeliveries charges the caller for sending size bytes to a group's subscribers, or
// to some of them.
func (s *Service) chargeDeliveries(caller auth.Identity, groupID string, size, most int) error {
	if caller.Admin || s.audience == nil {
		return nil
	}
	return s.limits.Deliver(caller.UserID, min(s.audience.Audience(groupID), most), size)
}

// MayRead charges the caller for a read that the service does not do itself.
func (s *Service) MayRead(caller auth.Identity) error { return charge(caller, s.limits.Read) }

// chargeJoin charges the caller for joining a group that they are not in, before a back
// end is asked about it.
func (s *Service) chargeJoin(caller auth.Identity, groupID string, about *inquiry) error {
	if about != nil && about.answered {
		return nil
	}
	return charge(caller, func(userID string) error { return s.limits.Join(userID, groupID) })
}

// userSockets is how many sockets a user is taken to have, to charge what is sent to them.
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

// changeSize is what a change counts in place of its bytes.
const changeSize = 1 << 10

// chargeChange charges the caller for a change that is stored.
func (s *Service) chargeChange(caller auth.Identity) error {
	return charge(caller, func(userID string) error { return s.limits.Message(userID, changeSize) })
}

// checkRows returns ErrLimitReached if a group cannot have one more of the rows that count
// counts.
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
