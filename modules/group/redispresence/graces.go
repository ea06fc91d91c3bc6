package redispresence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

const (
	endBatch  = 100 // groups in one round trip
	endLimit  = 500 // graces in one group that one call ends
	idleCheck = time.Hour
)

// watch makes this node look for ended graces in a group at the given time or earlier.
func (s *Store) watch(groupID string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchLocked(groupID, at)
}

func (s *Store) watchLocked(groupID string, at time.Time) {
	if before, is := s.watched[groupID]; is && !at.Before(before) {
		return
	}
	s.watched[groupID] = at
	if at.Before(s.nextEnd) {
		tasks.Wake(s.sooner)
	}
}

// endGraces ends graces until ctx ends. A node watches the groups where a grace began on
// this node, or on a dead node that it swept. There it ends all graces that are over,
// whichever node began them.
func (s *Store) endGraces(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.sooner:
		case <-timer.C:
		}
		due, marker := s.dueGroups()
		for len(due) > 0 && ctx.Err() == nil {
			n := min(endBatch, len(due))
			s.endIn(ctx, due[:n], marker)
			due = due[n:]
		}
		timer.Reset(s.untilNextEnd())
	}
}

// dueGroups returns the groups to look at now. It sets their time to marker. If the time
// is still marker after the look, no grace began meanwhile.
func (s *Store) dueGroups() (due []string, marker time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	marker = now.Add(idleCheck)
	for groupID, at := range s.watched {
		if !at.After(now) {
			due = append(due, groupID)
			s.watched[groupID] = marker
		}
	}
	return due, marker
}

func (s *Store) untilNextEnd() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.nextEnd = now.Add(idleCheck)
	for _, at := range s.watched {
		if at.Before(s.nextEnd) {
			s.nextEnd = at
		}
	}
	return s.nextEnd.Sub(now)
}

// endIn ends the graces in groups that are over. It schedules another look at a group that
// has more graces or where it failed.
func (s *Store) endIn(ctx context.Context, groups []string, marker time.Time) {
	answers, err := s.end(ctx, s.identity(), groups)
	for i, groupID := range groups {
		var a ended
		failed := err
		if failed == nil {
			a, failed = readEnded(answers[i])
		}
		if failed == nil {
			s.handleEnded(groupID, a, marker)
			continue
		}
		s.watch(groupID, time.Now().Add(s.timing.Retry))
		if ctx.Err() == nil && !errors.Is(failed, errDown) {
			s.log.DebugContext(ctx, "redispresence: ending graces failed and is retried", "group", groupID, "err", failed)
		}
	}
}

// handleEnded reports the ended graces of a group to subscribers. The next call of end.lua
// confirms this to the server. Without the confirmation, the server hands out the same
// users again.
func (s *Store) handleEnded(groupID string, a ended, marker time.Time) {
	delete(s.unconfirmed, groupID) // this call of end.lua has confirmed them
	s.mu.Lock()
	switch {
	case len(a.over) > 0:
		s.watchLocked(groupID, time.Now())
	case a.next >= 0:
		s.watchLocked(groupID, time.Now().Add(a.next))
	case s.watched[groupID].Equal(marker): // no grace began meanwhile
		delete(s.watched, groupID)
	}
	for _, c := range a.over {
		if cl := s.claims.get(groupID, c.UserID); cl != nil && !cl.here && !cl.unsure {
			s.claims.drop(groupID, c.UserID)
		}
	}
	s.mu.Unlock()
	if len(a.over) > 0 {
		s.tell(groupID, a.over)
		s.unconfirmed[groupID] = a.over
	}
}

// ended is the reply of end.lua.
type ended struct {
	next time.Duration // until the next look at the group; negative if no grace is left
	over []group.PresenceChange
}

// end runs end.lua for each group and returns the replies. A failure in one group does not
// affect the others.
func (s *Store) end(ctx context.Context, self identity, groups []string) ([]redis.Cmder, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down != nil {
		return nil, errDown
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.runEach(ctx, self, s.scripts.end, func(p redis.Pipeliner) {
		for _, groupID := range groups {
			args := []any{timeToLive.Milliseconds(), endLimit, presence.LatelyFor.Milliseconds(), presence.LatelyMax, s.settle()}
			for _, c := range s.unconfirmed[groupID] {
				args = append(args, c.UserID, c.At.UnixMilli())
			}
			s.scripts.end.EvalSha(ctx, p, s.keys.group(groupID, self.epoch), args...)
		}
	})
}

func readEnded(answer redis.Cmder) (ended, error) {
	cmd, is := answer.(*redis.Cmd)
	if !is {
		return ended{}, fmt.Errorf("an answer of type %T", answer)
	}
	parts, err := cmd.Slice()
	if err != nil {
		return ended{}, err
	}
	if len(parts)%3 != 2 {
		return ended{}, fmt.Errorf("an answer of %d parts", len(parts))
	}
	next, ok := parts[1].(int64)
	if !ok {
		return ended{}, fmt.Errorf("an answer without a time: %v", parts[1])
	}
	e := ended{next: time.Duration(next) * time.Millisecond}
	for i := 2; i < len(parts); i += 3 {
		e.over = append(e.over, group.PresenceChange{
			UserID: text(parts[i]),
			Status: group.StatusOffline,
			Reason: text(parts[i+1]),
			At:     timeOf(text(parts[i+2])),
		})
	}
	return e, nil
}
