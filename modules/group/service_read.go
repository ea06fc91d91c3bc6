package group

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// ReadMarks is the part of a [Repository] that keeps how far members have read.
type ReadMarks interface {
	// MarkRead moves a member's read mark forward to a version that the group
	// has. It does nothing when the mark is further on, or userID is no member.
	// The mark of a new member is the group's version before they joined.
	MarkRead(ctx context.Context, groupID, userID string, version int64) error
}

// MarkRead moves the caller's read mark forward. Messages up to the mark no
// longer count as unread in [Service.ListMine]. A mark that is further on stays,
// so that devices may report in any order. MarkRead makes no event. It returns
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
		return s.repo.MarkRead(ctx, groupID, member, *req.Version)
	})
}
