package redispresence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group/presence"
)

// restore stores records that the server lacks; see restore.lua.
func (s *Store) restore(ctx context.Context, self identity, records []record) error {
	for part := range slices.Chunk(records, batch) {
		byGroup := make(map[string][]any)
		for _, r := range part {
			byGroup[r.groupID] = append(byGroup[r.groupID], r.userID, r.reason, r.since, r.left.Milliseconds(), r.state)
		}
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		err := s.run(limited, self, s.scripts.restore, func(p redis.Pipeliner) {
			for groupID, users := range byGroup {
				args := append([]any{timeToLive.Milliseconds(), presence.LatelyFor.Milliseconds(), presence.LatelyMax}, users...)
				s.scripts.restore.EvalSha(limited, p, s.keys.group(groupID, self.epoch), args...)
			}
		})
		cancel()
		if err != nil {
			return fmt.Errorf("restore what the server lacks: %w", err)
		}
	}
	return nil
}

// restoreStates stores the live states that were set on this node, unless the server has
// newer ones.
func (s *Store) restoreStates(ctx context.Context, self identity, states []record) error {
	if len(states) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.run(ctx, self, s.scripts.state, func(p redis.Pipeliner) {
		for _, r := range states {
			at, state, _ := strings.Cut(r.state, " ")
			s.scripts.state.EvalSha(ctx, p, s.keys.group(r.groupID, self.epoch), timeToLive.Milliseconds(), r.userID, state, at)
		}
	})
	if err != nil {
		return fmt.Errorf("restore live states: %w", err)
	}
	return nil
}
