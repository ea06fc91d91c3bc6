package group

import (
	"context"
	"fmt"
	"math"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// ReadMarks is the part of a [Repository] that keeps the members' read marks.
type ReadMarks interface {
	// MarkRead moves a member's read mark forward to a version of the group, and reports
	// whether it moved. It does nothing if the mark is further on, or userID is not a
	// member. The mark of a new member is the group's version before they joined.
	MarkRead(ctx context.Context, groupID, userID string, version int64) (moved bool, err error)
}

// MarkRead moves the caller's read mark forward. Messages up to the mark do not count as
// unread in [Service.ListMine] any more. A mark never moves back, so devices may report in
// any order. MarkRead creates no event. If the group has read receipts, its subscribers are
// told when a mark moves. MarkRead returns validation_failed for a version that the group
// does not have yet, and ErrNotMember to a back end that is not a member. A back end may
// call it on behalf of a member.
func (s *Service) MarkRead(ctx context.Context, caller auth.Identity, groupID string, req dto.ReadRequest) error {
	if err := req.Validate(); err != nil {
		return err
	}
	member := caller.UserID
	if req.UserID != "" {
		if !caller.Admin {
			return errOnBehalf
		}
		member = req.UserID
	}
	return s.repeatable(ctx, caller, asked{what: "read " + groupID, with: req}, func() error {
		g, m, err := s.look(ctx, actRead, caller, groupID)
		if err == nil && member != caller.UserID {
			g, m, err = s.repo.Group(ctx, groupID, member)
		}
		switch {
		case err != nil:
			return err
		case m == nil:
			return ErrNotMember
		case *req.Version > g.Version:
			return fault.Validation(fault.Field{Field: "version", Message: fmt.Sprintf("must not be above the group's, which is %d", g.Version)})
		}
		return s.markRead(ctx, caller, g, member, *req.Version)
	})
}

// markRead moves a member's mark. If the group has read receipts, the other members are
// told.
func (s *Service) markRead(ctx context.Context, caller auth.Identity, g Group, userID string, version int64) error {
	tells := g.ReadReceipts && s.marks != nil
	if tells {
		if err := s.chargeDeliveries(caller, g.ID, markSize, math.MaxInt); err != nil {
			return err
		}
	}
	moved, err := s.repo.MarkRead(ctx, g.ID, userID, version)
	if err == nil && moved && tells {
		s.marks.Tell(g.ID, userID, version)
	}
	return err
}

// markSize is the size, in bytes, that a read mark is charged with when others are told of
// it.
const markSize = 64
