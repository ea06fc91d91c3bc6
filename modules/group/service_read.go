package group

import (
	"context"
	"fmt"
	"slices"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// ReadRequest says how far a member has read.
type ReadRequest struct {
	Version *int64 `json:"version" doc:"of the last event that was read"`

	intake
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: see Validate.
func (r *ReadRequest) UnmarshalJSON(data []byte) error {
	return r.fill(data, r)
}

func (r *ReadRequest) read(b *body) { b.take("version", &r.Version, "a whole number") }

// Validate reports all mistakes at once, as validation_failed.
func (r ReadRequest) Validate() error {
	m := slices.Clip(r.mistakes)
	switch {
	case r.Version == nil:
		m.add("version", "is required")
	case *r.Version < 0:
		m.add("version", "must not be negative")
	}
	return m.err()
}

// MarkRead moves the caller's read mark forward: what is at or below it no
// longer counts as unread in [Service.ListMine]. A mark that is further on
// stays, so that devices may report in any order. It is no event. It returns
// validation_failed for a version that the group does not have yet, and
// ErrNotMember to a back end that is no member.
func (s *Service) MarkRead(ctx context.Context, caller auth.Identity, groupID string, req ReadRequest) error {
	if err := req.Validate(); err != nil {
		return err
	}
	return s.repeatable(ctx, caller, asked{what: "read " + groupID, with: req}, func() error {
		g, m, err := s.look(ctx, actRead, caller, groupID)
		switch {
		case err != nil:
			return err
		case m == nil:
			return ErrNotMember
		case *req.Version > g.Version:
			return fault.Validation(fault.Field{Field: "version", Message: fmt.Sprintf("must not be above the group's, which is %d", g.Version)})
		}
		return s.repo.MarkRead(ctx, groupID, caller.UserID, *req.Version)
	})
}
