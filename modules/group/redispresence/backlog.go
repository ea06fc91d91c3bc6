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
	announceBatch = 100 // groups that one turn registers
	scanBatch     = 500 // users or groups that one round trip scans
)

// backlog is work that takes too long for the goroutine that renews the lease. Another
// goroutine does it.
type backlog struct {
	announce bool                // register this node's users again
	check    bool                // also remove users whom the server wrongly lists on this node
	dead     []string            // ids of dead nodes to sweep
	strays   map[string][]string // by group: ids of nodes to sweep that the server lists nowhere else
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

// scheduleStrays adds the sweep of nodes in one group to the backlog.
func (s *Store) scheduleStrays(groupID string, nodes []string) {
	s.mu.Lock()
	if s.backlog.strays == nil {
		s.backlog.strays = make(map[string][]string)
	}
	s.backlog.strays[groupID] = nodes
	s.mu.Unlock()
	tasks.Wake(s.wake)
}

// runBacklog does the work in the backlog until ctx ends.
func (s *Store) runBacklog(ctx context.Context) {
	tasks.Retry(ctx, s.timing.Retry, s.wake, func() error {
		s.mu.Lock()
		todo := s.backlog
		s.backlog = backlog{}
		s.mu.Unlock()
		err := s.doOnce(ctx, todo)
		if err != nil && ctx.Err() == nil {
			s.log.Debug("redispresence: backlog work failed and is retried", "err", err)
		}
		return err
	})
}

// doOnce registers this node's users, and then sweeps dead nodes. Work that got no answer
// goes back into the backlog. If the server refuses a sweep, a later renewal gives it to
// some node again.
func (s *Store) doOnce(ctx context.Context, todo backlog) error {
	if todo.announce {
		// Wait until this node has noticed which sockets ended while it was suspended.
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

// postpone returns work that got no answer to the backlog. It returns err, or nil while the
// server is down: the first renewal that succeeds wakes the worker.
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

// announce registers all users of this node. With check, it also removes users whom the
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
	if err := s.markAnnounced(ctx, self); err != nil {
		return err
	}
	s.mu.Lock()
	if s.self == self {
		s.self.before = ""
		s.registeredAs = s.self
	}
	s.mu.Unlock()
	for _, groupID := range known {
		if err := s.check(ctx, self, groupID); err != nil {
			return err
		}
	}
	return s.forgetGroups(ctx, self, known)
}

// groupsLocked returns the groups where this node has users or watches graces.
func (s *Store) groupsLocked() []string {
	groups := slices.Collect(maps.Keys(s.claims))
	for groupID := range s.watched {
		if s.claims[groupID] == nil {
			groups = append(groups, groupID)
		}
	}
	return groups
}

// noteGroups stores the list of groups where this node has users or watches graces, and
// returns it. Earlier groups stay in the stored list until they are checked: after a
// failover, the list may be the only record of users there.
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
	users, graces, states, same := s.toRegister(self, groups)
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
	s.markRegistered(self, users, graces)
	switch {
	case self.before != "": // the other nodes reported these users as gone
		s.tellAll(users, told)
	case s.isNew(): // users may have left since it inherited them: this ended their grace
		for i, r := range told {
			if !r.back {
				told[i] = result{}
			}
		}
		s.tellAll(users, told)
	}
	return nil
}

// isNew reports whether this store has never registered all its users.
func (s *Store) isNew() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registeredAs == identity{}
}

// toRegister returns what to register for groups: the users, and the graces and live states
// that the server may have lost. It returns false if this node's identity is not self any
// more.
func (s *Store) toRegister(self identity, groups []string) (users []change, graces, states []record, same bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, groupID := range groups {
		for userID, c := range s.claims[groupID] {
			forgotten := c.epoch != self.epoch
			r := record{groupID: groupID, userID: userID}
			if c.here {
				users = append(users, change{Attendance: presence.Attendance{GroupID: groupID, UserID: userID, Here: true}})
			} else if forgotten && !c.until.IsZero() {
				r.reason, r.since, r.left = c.reason, c.since, s.graceLeft(c)
				graces = append(graces, r)
			}
			if c.state != "" && (forgotten || c.id != self.id) {
				states = append(states, record{groupID: groupID, userID: userID, state: c.state})
			}
		}
	}
	return users, graces, states, s.self == self
}

// markRegistered records the identity under which the server now knows these users.
func (s *Store) markRegistered(self identity, users []change, graces []record) {
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

// graceLeft returns how long a grace that the server lost still lasts. It is at least the
// time in which every live node registers its users, because the user may be on one of
// them.
func (s *Store) graceLeft(c *claim) time.Duration {
	return max(time.Until(c.until), time.Duration(s.settle())*time.Millisecond)
}
