package redispresence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group/presence"
)

const (
	announceBatch = 100 // groups that one turn announces
	scanBatch     = 500 // users, or groups, that one round trip scans
)

// backlog is work that would delay the renewal of the lease for too long.
type backlog struct {
	announce bool                // enter this node's users again
	check    bool                // and remove those who are not on this node: the server may have lost that
	dead     []string            // nodes to sweep
	strays   map[string][]string // and in which groups to sweep nodes that are listed nowhere else
}

// schedule adds to the backlog.
func (s *Store) schedule(announce, check bool, dead []string) {
	if !announce && len(dead) == 0 {
		return
	}
	s.mu.Lock()
	s.backlog.announce = s.backlog.announce || announce
	s.backlog.check = s.backlog.check || check
	for _, id := range dead {
		if !slices.Contains(s.backlog.dead, id) {
			s.backlog.dead = append(s.backlog.dead, id)
		}
	}
	s.mu.Unlock()
	tasks.Wake(s.wake)
}

// scheduleStrays adds nodes to sweep in one group.
func (s *Store) scheduleStrays(groupID string, nodes []string) {
	s.mu.Lock()
	if s.backlog.strays == nil {
		s.backlog.strays = make(map[string][]string)
	}
	s.backlog.strays[groupID] = nodes
	s.mu.Unlock()
	tasks.Wake(s.wake)
}

// workOff does what is in the backlog until ctx ends.
func (s *Store) workOff(ctx context.Context) {
	tasks.Retry(ctx, s.timing.Retry, s.wake, func() error {
		s.mu.Lock()
		todo := s.backlog
		s.backlog = backlog{}
		s.mu.Unlock()
		err := s.doOnce(ctx, todo)
		if err != nil && ctx.Err() == nil {
			s.log.Debug("redispresence: the backlog is retried", "err", err)
		}
		return err
	})
}

// doOnce announces, then sweeps. What fails without an answer stays in the backlog.
// A sweep that the server refuses is given to any node later.
func (s *Store) doOnce(ctx context.Context, todo backlog) error {
	if todo.announce {
		// The node finds out which sockets ended while it stood still.
		if s.identity().before != "" && !tasks.Pause(ctx, s.timing.Look) {
			return ctx.Err()
		}
		if err := s.announce(ctx, todo.check); err != nil {
			return s.postpone(todo, err)
		}
	}
	var refused error
	for i, id := range todo.dead {
		if err := s.sweep(ctx, id); isRefusal(err) {
			refused = fmt.Errorf("sweep a dead node: %w", err)
		} else if err != nil {
			return s.postpone(backlog{dead: todo.dead[i:], strays: todo.strays}, fmt.Errorf("sweep a dead node: %w", err))
		}
	}
	for groupID, nodes := range todo.strays {
		if err := s.sweepStrays(ctx, groupID, nodes); err != nil {
			refused = fmt.Errorf("sweep nodes that are listed nowhere: %w", err) // a later reading finds them again
		}
	}
	return refused
}

// postpone puts work back that failed without an answer. It returns why, or nil
// while the server is down: the first renewal after that wakes the worker.
func (s *Store) postpone(todo backlog, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.backlog
	b.announce, b.check = b.announce || todo.announce, b.check || todo.check
	for _, id := range todo.dead {
		if !slices.Contains(b.dead, id) {
			b.dead = append(b.dead, id)
		}
	}
	if b.strays == nil {
		b.strays = todo.strays
	}
	if s.down != nil {
		return nil
	}
	return err
}

// announce enters all users of this node. With check it removes users whom the
// server wrongly lists on this node.
func (s *Store) announce(ctx context.Context, check bool) error {
	var known []string
	if check {
		var err error
		if known, err = s.knownGroups(ctx); err != nil {
			return err
		}
	}
	self, groups, err := s.noteGroups(ctx)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(groups, announceBatch) {
		if err := s.announcePart(ctx, self, part); err != nil {
			return err
		}
	}
	if err := s.announced(ctx, self); err != nil {
		return err
	}
	s.mu.Lock()
	if s.self == self {
		s.self.before = ""
		s.allIn = s.self
	}
	s.mu.Unlock()
	for _, groupID := range known {
		if err := s.check(ctx, self, groupID); err != nil {
			return err
		}
	}
	return s.forgetGroups(ctx, self, known)
}

// groupsLocked returns the groups where this node has users or ends graces.
func (s *Store) groupsLocked() []string {
	groups := slices.Collect(maps.Keys(s.claims))
	for groupID := range s.watched {
		if s.claims[groupID] == nil {
			groups = append(groups, groupID)
		}
	}
	return groups
}

// noteGroups stores in which groups this node has users or ends graces, and returns
// them. Groups of the past stay noted until they are checked: after a failover, the note
// may be all that tells of users there.
func (s *Store) noteGroups(ctx context.Context) (identity, []string, error) {
	if err := s.take(ctx); err != nil {
		return identity{}, nil, err
	}
	defer s.give()
	s.mu.Lock()
	self, groups := s.self, s.groupsLocked()
	s.mu.Unlock()
	for part := range slices.Chunk(groups, scanBatch) {
		if err := s.note(ctx, self.id, part); err != nil {
			return identity{}, nil, err
		}
	}
	return self, groups, nil
}

func (s *Store) announcePart(ctx context.Context, self identity, groups []string) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	users, graces, states, same := s.claimed(self, groups)
	if !same {
		return errChanged
	}
	if err := s.restoreStates(ctx, self, states); err != nil {
		return err
	}
	told, err := s.write(ctx, self, users)
	if err != nil {
		return err
	}
	if err := s.restore(ctx, self, graces); err != nil {
		return err
	}
	s.entered(self, users, graces)
	if self.before != "" { // other nodes told that these users went
		s.tellAll(users, told)
	}
	return nil
}

// claimed returns what to enter for groups: users, and the graces and live
// states that the server may have lost. It reports false if this node has
// another identity by now.
func (s *Store) claimed(self identity, groups []string) (users []change, graces, states []record, same bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, groupID := range groups {
		for userID, c := range s.claims[groupID] {
			forgotten := c.epoch != self.epoch
			r := record{groupID: groupID, userID: userID}
			if c.here {
				users = append(users, change{Attendance: presence.Attendance{GroupID: groupID, UserID: userID, Here: true}})
			} else if forgotten && !c.until.IsZero() {
				r.reason, r.since, r.left = c.reason, c.since, s.leftOf(c)
				graces = append(graces, r)
			}
			if c.state != "" && (forgotten || c.id != self.id) {
				states = append(states, record{groupID: groupID, userID: userID, state: c.state})
			}
		}
	}
	return users, graces, states, s.self == self
}

// entered notes under which identity the server knows users now.
func (s *Store) entered(self identity, users []change, graces []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range users {
		if c := s.claims.get(u.GroupID, u.UserID); c != nil {
			c.id, c.epoch = self.id, self.epoch
		}
	}
	for _, r := range graces {
		if c := s.claims.get(r.groupID, r.userID); c != nil {
			c.id, c.epoch, c.until = self.id, self.epoch, time.Now().Add(r.left)
			s.watchLocked(r.groupID, c.until)
		}
	}
}

// leftOf returns how long a grace lasts that the server forgot. It outlasts
// the time in which every live node enters its users: the user may be on one.
func (s *Store) leftOf(c *claim) time.Duration {
	return max(time.Until(c.until), time.Duration(s.settle())*time.Millisecond)
}
