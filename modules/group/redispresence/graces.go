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
	endLimit  = 500 // graces of a group that one call ends
	idleCheck = time.Hour
)

// watch makes this node look for ended graces in a group at a time, or
// earlier.
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

// endGraces ends graces until ctx ends. A node watches groups where it, or a
// dead node that it swept, began graces. It ends every grace of the group that
// is over, whichever node began it.
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
		due, taken := s.dueGroups()
		for len(due) > 0 && ctx.Err() == nil {
			n := min(endBatch, len(due))
			s.endIn(ctx, due[:n], taken)
			due = due[n:]
		}
		timer.Reset(s.untilNextEnd())
	}
}

// dueGroups returns the groups to look at now. They stay watched until no
// grace is left there.
func (s *Store) dueGroups() (due []string, taken time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	taken = now.Add(idleCheck)
	for groupID, at := range s.watched {
		if !at.After(now) {
			due = append(due, groupID)
			s.watched[groupID] = taken
		}
	}
	return due, taken
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

// endIn ends the graces in groups that are over. A group with more graces, or a
// failure, is looked at again.
func (s *Store) endIn(ctx context.Context, groups []string, taken time.Time) {
	answers, err := s.end(ctx, s.identity(), groups)
	for i, groupID := range groups {
		var a ended
		failed := err
		if failed == nil {
			a, failed = readEnded(answers[i])
		}
		if failed == nil {
			s.endedIn(groupID, a, taken)
			continue
		}
		s.watch(groupID, time.Now().Add(s.timing.Retry))
		if ctx.Err() == nil && !errors.Is(failed, errDown) {
			s.log.DebugContext(ctx, "redispresence: ending graces failed and is retried", "group", groupID, "err", failed)
		}
	}
}

// endedIn tells which graces of a group are over. The server hears next that they are
// told: until then, it has them told again.
func (s *Store) endedIn(groupID string, a ended, taken time.Time) {
	delete(s.told, groupID) // what the call said
	s.mu.Lock()
	switch {
	case len(a.over) > 0:
		s.watchLocked(groupID, time.Now())
	case a.next >= 0:
		s.watchLocked(groupID, time.Now().Add(a.next))
	case s.watched[groupID].Equal(taken): // no grace began in the meantime
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
		s.told[groupID] = a.over
	}
}

// ended is the answer of end.lua.
type ended struct {
	next time.Duration // until the group is to be looked at; negative: never
	over []group.PresenceChange
}

// end runs end.lua for groups and returns the answers. One group's failure does
// not affect the others.
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
			for _, c := range s.told[groupID] {
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
