package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/dto"
)

// ListPublic lists public groups whose name contains query, newest first, before the given
// id. If before is empty, it begins with the newest. There are more if it returns limit
// groups, or [ListBytes].
func (s *Service) ListPublic(ctx context.Context, caller auth.Identity, query, before string, limit int) ([]Group, error) {
	if err := dto.CheckQuery(query); err != nil {
		return nil, err
	}
	if err := caller.Check(auth.ReadGroups); err != nil {
		return nil, err
	}
	if err := charge(caller, s.limits.Read); err != nil {
		return nil, err
	}
	return s.repo.PublicGroups(ctx, query, before, limit)
}

// ListMine lists the caller's groups, newest first, before the given id. If before is
// empty, it begins with the newest. There are more if it returns limit groups, or
// [ListBytes].
func (s *Service) ListMine(ctx context.Context, caller auth.Identity, before string, limit int) ([]Membership, error) {
	if err := caller.Check(auth.ReadGroups); err != nil {
		return nil, err
	}
	if err := charge(caller, s.limits.Read); err != nil {
		return nil, err
	}
	return s.listGroupsOf(ctx, caller.UserID, before, limit)
}

// listGroupsOf lists a user's groups, with the numbers of members online.
func (s *Service) listGroupsOf(ctx context.Context, userID, before string, limit int) ([]Membership, error) {
	mine, err := s.repo.UserGroups(ctx, userID, before, limit)
	if err != nil || s.presence == nil || len(mine) == 0 {
		return mine, err
	}
	ids := make([]string, len(mine))
	for i, m := range mine {
		ids[i] = m.ID
	}
	online, err := s.presence.Count(ctx, ids)
	if err != nil {
		return mine, nil //nolint:nilerr // the list is useful without presence
	}
	for i := range mine {
		mine[i].Online = &online[i]
	}
	return mine, nil
}
