package redispresence

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// setState stores a live state. when is the time it was set; zero means now. This node
// remembers the state while the user is here.
func (s *Store) setState(ctx context.Context, groupID, userID string, state json.RawMessage, when time.Time) (time.Time, error) {
	if string(state) == "null" {
		state = nil
	}
	ms := int64(0)
	if !when.IsZero() {
		ms = when.UnixMilli()
	}
	self := s.identity()
	var result *redis.Cmd
	err := s.run(ctx, self, s.scripts.state, func(p redis.Pipeliner) {
		result = s.scripts.state.EvalSha(ctx, p, s.keys.group(groupID, self.epoch), timeToLive.Milliseconds(), userID, string(state), ms)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("store a live state: %w", err)
	}
	at, err := result.Text()
	if err != nil {
		return time.Time{}, fmt.Errorf("store a live state: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.claims.get(groupID, userID)
	if c == nil { // the user's Apply has not run yet
		c = &claim{}
		s.claims.put(groupID, userID, c)
	}
	c.state = ""
	if state != nil {
		c.state = at + " " + string(state)
	}
	return timeOf(at), nil
}
