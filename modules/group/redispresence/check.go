package redispresence

import (
	"context"
	"fmt"
	"slices"

	"github.com/moim-live/moim/modules/group"
)

// knownGroups returns the groups where the server lists users on this node.
func (s *Store) knownGroups(ctx context.Context) ([]string, error) {
	id := s.identity().id
	var known []string
	err := scan(func(cursor uint64) (uint64, error) {
		groups, next, err := s.scanGroups(ctx, id, cursor)
		known = append(known, groups...)
		return next, err
	})
	return known, err
}

// check removes users whom the server wrongly lists on this node from a group. A failover
// may have lost their removal.
func (s *Store) check(ctx context.Context, self identity, groupID string) error {
	return scan(func(cursor uint64) (uint64, error) { return s.checkPart(ctx, self, groupID, cursor) })
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

// forgetGroups removes checked groups from the stored list of this node's groups, unless
// this node has users or watches graces there.
func (s *Store) forgetGroups(ctx context.Context, self identity, checked []string) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	var past []any
	s.mu.Lock()
	for _, groupID := range checked {
		if _, watched := s.watched[groupID]; !watched && s.claims[groupID] == nil {
			past = append(past, groupID)
		}
	}
	s.mu.Unlock()
	for part := range slices.Chunk(past, scanBatch) {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		err := s.client.SRem(limited, s.keys.node(self.id), part...).Err()
		cancel()
		if err != nil {
			return fmt.Errorf("forget groups of this node: %w", err)
		}
	}
	return nil
}
