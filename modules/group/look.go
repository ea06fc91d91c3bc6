package group

import (
	"context"
	"errors"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// list checks that the caller may read a list of a group.
func (s *Service) list(ctx context.Context, a action, caller auth.Identity, groupID string) error {
	if err := charge(caller, s.limits.Read); err != nil {
		return err
	}
	if caller.Calls&auth.ReadPeople != 0 && permissions[a].call == auth.WriteMembers {
		caller.Calls |= auth.WriteMembers // for this list only
	}
	_, _, err := s.look(ctx, a, caller, groupID)
	return err
}

// look reads a group and the caller's membership (nil if there is none), and checks that
// action a is allowed.
func (s *Service) look(ctx context.Context, a action, caller auth.Identity, groupID string) (Group, *Member, error) {
	if !dto.ValidGroupID(groupID) {
		return Group{}, nil, fault.ErrNotFound
	}
	g, m, err := s.repo.Group(ctx, groupID, caller.UserID)
	if err != nil {
		return Group{}, nil, Hide(err)
	}
	if err := allow(a, caller, g, m); err != nil {
		return Group{}, nil, err
	}
	if err := allowSpeech(a, caller, g, m, s.instant()); err != nil {
		return Group{}, nil, err
	}
	return g, m, nil
}

// Hide replaces every not_found error by fault.ErrNotFound, so that a group that the caller
// may not see looks like one that does not exist.
func Hide(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return fault.ErrNotFound
	}
	return err
}
