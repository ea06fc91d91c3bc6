package group

import (
	"context"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// Finder is the part of a [Repository] that lists the groups of all users.
type Finder interface {
	// FindGroups lists the groups that a filter describes, after the given place
	// ([Filter.Place]; empty: from the first).
	FindGroups(ctx context.Context, f Filter, after string, limit int) ([]FoundGroup, error)
}

// Filter says which groups a back end asks for, and their order: the newest first, or
// those first that had an event last.
type Filter struct {
	OwnerID string // empty: anyone's
	Active  bool   // in order of the last event; not together with Deleted
	Deleted bool   // those that are deleted and not yet removed, instead of the others
}

// FoundGroup is a group as a back end finds it.
type FoundGroup struct {
	Group
	ActiveAt  time.Time  `json:"activeAt,omitzero" doc:"time of the last event, or up to a second less; for back ends"`
	DeletedAt *time.Time `json:"deletedAt,omitempty" doc:"when the group was deleted; for back ends"`
}

// Place returns where a group is in the list.
func (f Filter) Place(g FoundGroup) string {
	if f.Active {
		return fmt.Sprint(g.ActiveAt.UnixMicro(), " ", g.ID)
	}
	return g.ID
}

var errFindsAll = fault.ErrForbidden.WithMessage("only a back end may find groups by ownerId, sort or deleted")

// Find lists at most limit groups of all users, private ones too, for a back end. There
// are more when it returns limit, or [ListBytes].
func (s *Service) Find(ctx context.Context, caller auth.Identity, f Filter, after string, limit int) ([]FoundGroup, error) {
	switch {
	case !caller.Admin:
		return nil, errFindsAll
	case f.OwnerID != "" && !dto.ValidUserID(f.OwnerID):
		return nil, fault.Validation(fault.Field{Field: "ownerId", Message: "is not a user id"})
	case f.Active && f.Deleted:
		return nil, fault.Validation(fault.Field{Field: "sort", Message: "deleted groups are listed newest first"})
	}
	if err := caller.Check(auth.ReadGroups); err != nil {
		return nil, err
	}
	return s.repo.FindGroups(ctx, f, after, limit)
}
