package redispresence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group/presence"
)

const (
	announceBatch = 100 // groups that are announced in one turn
	scanBatch     = 500 // users, or groups, that are looked at in one round trip
)

// chores is what takes longer than a renewal of the lease may wait.
type chores struct {
	announce bool     // this node's users are to be entered again
	check    bool     // and those who are not its users taken out: the server may have lost that
	dead     []string // nodes to sweep
}

// order adds chores.
func (s *Store) order(announce, check bool, dead []string) {
	if !announce && len(dead) == 0 {
		return
	}
	s.mu.Lock()
	s.chores.announce = s.chores.announce || announce
	s.chores.check = s.chores.check || check
	for _, id := range dead {
		if !slices.Contains(s.chores.dead, id) {
			s.chores.dead = append(s.chores.dead, id)
		}
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// doChores works off what was ordered until ctx ends.
func (s *Store) doChores(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry.C:
		}
		s.mu.Lock()
		todo := s.chores
		s.chores = chores{}
		s.mu.Unlock()
		if err := s.doOnce(ctx, todo); err != nil && ctx.Err() == nil {
			s.log.Debug("redispresence: to be done again", "err", err)
			retry.Reset(s.timing.retry)
		}
	}
}

// doOnce announces, then sweeps. What fails stays to be done: an announcement
// here, once the lease is renewed, a sweep wherever a node is given it next.
func (s *Store) doOnce(ctx context.Context, todo chores) error {
	if todo.announce {
		if s.identity().before != "" { // sockets that ended while this node stood still are found now
			look := time.NewTimer(s.timing.look)
			defer look.Stop()
			select {
			case <-look.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := s.announce(ctx, todo.check); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.chores.announce, s.chores.check = true, s.chores.check || todo.check
			if s.down != nil {
				return nil
			}
			return err
		}
	}
	var refused error
	for _, id := range todo.dead {
		if err := s.sweep(ctx, id); isRefusal(err) {
			refused = fmt.Errorf("sweep a dead node: %w", err)
		} else if err != nil {
			return fmt.Errorf("sweep a dead node: %w", err)
		}
	}
	return refused
}

// announce enters all users of this node, and takes out who is none, if asked.
func (s *Store) announce(ctx context.Context, check bool) error {
	var known []string
	if check {
		var err error
		if known, err = s.knownGroups(ctx); err != nil {
			return err
		}
	}
	self, groups, err := s.announceGroups(ctx)
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
	return nil
}

// announceGroups makes the set of this node's groups anew: it forgets those
// that have been left.
func (s *Store) announceGroups(ctx context.Context) (identity, []string, error) {
	if err := s.take(ctx); err != nil {
		return identity{}, nil, err
	}
	defer s.give()
	s.mu.Lock()
	self, groups := s.self, slices.Collect(maps.Keys(s.claims))
	for groupID := range s.watched {
		if s.claims[groupID] == nil {
			groups = append(groups, groupID)
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	key := s.keys.node(self.id)
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, key)
		for part := range slices.Chunk(groups, scanBatch) {
			members := make([]any, len(part))
			for i, groupID := range part {
				members[i] = groupID
			}
			p.SAdd(ctx, key, members...)
		}
		p.PExpire(ctx, key, timeToLive)
		return nil
	})
	return self, groups, err
}

func (s *Store) announcePart(ctx context.Context, self identity, groups []string) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	users, waits, states, same := s.claimed(self, groups)
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
	if err := s.restoreWaits(ctx, self, waits); err != nil {
		return err
	}
	s.entered(self, users, waits)
	if self.before != "" { // others told that they went
		s.tellAll(users, told)
	}
	return nil
}

// claimed returns what is to be entered of groups: users, and, when they may be
// lost, live states and those who are waited for. It reports false when this
// node is another one now.
func (s *Store) claimed(self identity, groups []string) (users []change, waits, states []claimOf, same bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, groupID := range groups {
		for userID, c := range s.claims[groupID] {
			forgotten := c.epoch != self.epoch
			who := claimOf{groupID, userID, *c}
			if c.here {
				users = append(users, change{Attendance: presence.Attendance{GroupID: groupID, UserID: userID, Here: true}})
			} else if forgotten && !c.until.IsZero() {
				waits = append(waits, who)
			}
			if c.state != "" && (forgotten || c.id != self.id) {
				states = append(states, who)
			}
		}
	}
	return users, waits, states, s.self == self
}

// entered notes under which id users are known now.
func (s *Store) entered(self identity, users []change, waits []claimOf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range users {
		if c := s.claims.get(u.GroupID, u.UserID); c != nil {
			c.id, c.epoch = self.id, self.epoch
		}
	}
	for _, w := range waits {
		if c := s.claims.get(w.groupID, w.userID); c != nil {
			c.id, c.epoch, c.until = self.id, self.epoch, s.restored(w)
			s.watchLocked(w.groupID, c.until)
		}
	}
}
