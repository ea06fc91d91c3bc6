package redispresence

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// claimOf is a claim and whose it is.
type claimOf struct {
	groupID, userID string
	claim           claim
}

// restored returns when a grace ends that the server forgot: not before every
// live node has entered its users again, for they may have come back to one.
func (s *Store) restored(w claimOf) time.Time {
	soonest := time.Now().Add(time.Duration(s.settle()) * time.Millisecond)
	if w.claim.until.Before(soonest) {
		return soonest
	}
	return w.claim.until
}

// restoreWaits waits again for those whom the server forgot.
func (s *Store) restoreWaits(ctx context.Context, self identity, waits []claimOf) error {
	if len(waits) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	byGroup := make(map[string][]any)
	for _, w := range waits {
		byGroup[w.groupID] = append(byGroup[w.groupID], w.userID, w.claim.reason, w.claim.since, time.Until(s.restored(w)).Milliseconds(), "")
	}
	return s.callRestore(ctx, self, byGroup)
}

// callRestore calls restore.lua with arguments by group.
func (s *Store) callRestore(ctx context.Context, self identity, byGroup map[string][]any) error {
	err := s.run(ctx, self, s.scripts.restore, func(p redis.Pipeliner) {
		for groupID, args := range byGroup {
			s.scripts.restore.EvalSha(ctx, p, s.keys.group(groupID, self.epoch), append([]any{timeToLive.Milliseconds()}, args...)...)
		}
	})
	if err != nil {
		return fmt.Errorf("wait again for users: %w", err)
	}
	return nil
}

// restoreStates enters live states that were set here, unless there are newer
// ones.
func (s *Store) restoreStates(ctx context.Context, self identity, states []claimOf) error {
	if len(states) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.run(ctx, self, s.scripts.state, func(p redis.Pipeliner) {
		for _, w := range states {
			at, state, _ := strings.Cut(w.claim.state, " ")
			s.scripts.state.EvalSha(ctx, p, s.keys.group(w.groupID, self.epoch), timeToLive.Milliseconds(), w.userID, state, at)
		}
	})
	if err != nil {
		return fmt.Errorf("enter live states: %w", err)
	}
	return nil
}
