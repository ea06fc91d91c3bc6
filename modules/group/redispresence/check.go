package redispresence

import (
	"context"

	"github.com/moim-live/moim/modules/group"
)

// knownGroups returns where the server thinks that this node has users.
func (s *Store) knownGroups(ctx context.Context) ([]string, error) {
	id := s.identity().id
	var known []string
	for cursor := uint64(0); ; {
		groups, next, err := s.scanGroups(ctx, id, cursor)
		if err != nil {
			return nil, err
		}
		known = append(known, groups...)
		if cursor = next; cursor == 0 {
			return known, nil
		}
	}
}

// check takes out of a group who has no socket on this node, though the server
// thinks so: a failover may have lost that they went.
func (s *Store) check(ctx context.Context, self identity, groupID string) error {
	for cursor := uint64(0); ; {
		next, err := s.checkPart(ctx, self, groupID, cursor)
		if err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (s *Store) checkPart(ctx context.Context, self identity, groupID string, cursor uint64) (uint64, error) {
	if err := s.take(ctx); err != nil {
		return 0, err
	}
	defer s.give()
	listed, next, err := s.scanUsers(ctx, deadNode{self, group.ReasonDropped}, groupID, cursor)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	same := s.self.id == self.id && s.self.epoch == self.epoch
	var gone []change
	for _, u := range listed {
		if c := s.claims.get(u.GroupID, u.UserID); c == nil || !c.here && !c.unsure {
			gone = append(gone, u)
		}
	}
	s.mu.Unlock()
	if !same {
		return 0, errChanged
	}
	if len(gone) == 0 {
		return next, nil
	}
	if err := s.note(ctx, self.id, []string{groupID}); err != nil {
		return 0, err
	}
	return next, s.sweepUsers(ctx, self, groupID, gone)
}
