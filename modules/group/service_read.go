package group

import (
	"context"
	"fmt"
	"math"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// ReadMarks is the part of a [Repository] that keeps how far members have read.
type ReadMarks interface {
	// MarkRead moves a member's read mark forward to a version that the group
	// has, and reports whether it moved. It does nothing when the mark is further on,
	// or userID is no member. The mark of a new member is the group's version before
	// they joined.
	MarkRead(ctx context.Context, groupID, userID string, version int64) (moved bool, err error)
}

// MarkRead moves the caller's read mark forward. Messages up to the mark no
// longer count as unread in [Service.ListMine]. A mark that is further on stays,
// so that devices may report in any order. MarkRead makes no event. If the group has
// read receipts, its subscribers are told of a mark that moved. It returns
// validation_failed for a version that the group does not have yet, and
// ErrNotMember to a back end that is no member. A back end may name a member on whose
// behalf it calls.
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

// markRead moves a member's mark, and shows that to the others if they see marks.
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

// markSize is what a mark that others are told of counts in place of its bytes.
const markSize = 64
