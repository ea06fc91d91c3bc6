package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

var errBackEndsOnly = fault.ErrForbidden.WithMessage("only a back end may do this")

// UserTally counts a user's groups. Moim has no accounts: it knows users only from groups,
// so the counts of an unknown id are 0.
type UserTally struct {
	Groups int `json:"groups" doc:"number of groups that the user is a member of"`
	Owned  int `json:"owned" doc:"number of those that the user owns"`
}

// TallyUser counts the groups of a user, for a back end.
func (s *Service) TallyUser(ctx context.Context, caller auth.Identity, userID string) (UserTally, error) {
	if err := mayActFor(caller, userID, auth.ReadGroups); err != nil {
		return UserTally{}, err
	}
	joined, owned, err := s.repo.CountUserGroups(ctx, userID)
	return UserTally{Groups: joined, Owned: owned}, err
}

// ListGroupsOf lists the groups of a user, for a back end, like [Service.ListMine].
func (s *Service) ListGroupsOf(ctx context.Context, caller auth.Identity, userID, before string, limit int) ([]Membership, error) {
	if err := mayActFor(caller, userID, auth.ReadGroups); err != nil {
		return nil, err
	}
	return s.listGroupsOf(ctx, userID, before, limit)
}

// MayExport decides whether the caller may read all data about a user.
func MayExport(caller auth.Identity, userID string) error {
	return mayActFor(caller, userID, auth.ReadGroups)
}

// mayActFor decides whether the caller may make a call about a user. Back ends may, if
// their token allows the call.
func mayActFor(caller auth.Identity, userID string, call auth.Calls) error {
	if caller.Admin && !dto.ValidUserID(userID) {
		return fault.Validation(fault.Field{Field: "userId", Message: "is not a user id"})
	}
	return BackEndMay(caller, call)
}

// BackEndMay returns fault.ErrForbidden to users, and to back ends whose token does not
// allow the call.
func BackEndMay(caller auth.Identity, call auth.Calls) error {
	if !caller.Admin {
		return errBackEndsOnly
	}
	return caller.Check(call)
}
