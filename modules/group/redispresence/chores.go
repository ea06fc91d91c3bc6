package redispresence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
)

const (
	announceBatch = 100 // groups that are announced in one turn
	scanBatch     = 500 // users, or groups, that are looked at in one round trip
)

// chores is what takes longer than a renewal of the lease may wait.
type chores struct {
	announce bool     // this node's users are to be entered again
	dead     []string // nodes to sweep
}

// order adds chores.
func (s *Store) order(announce bool, dead []string) {
	if !announce && len(dead) == 0 {
		return
	}
	s.mu.Lock()
	s.chores.announce = s.chores.announce || announce
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
		if err := s.announce(ctx); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.chores.announce = true
			if s.down != nil {
				return nil
			}
			return err
		}
	}
	for _, id := range todo.dead {
		if err := s.sweep(ctx, id); err != nil {
			return fmt.Errorf("sweep a dead node: %w", err)
		}
	}
	return nil
}

// announce enters all users of this node.
func (s *Store) announce(ctx context.Context) error {
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
	defer s.mu.Unlock()
	if s.self == self {
		s.self.before = ""
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
	self, groups := s.self, slices.Collect(maps.Keys(s.here))
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
	var users []group.Attendance
	s.mu.Lock()
	same := s.self == self
	for _, groupID := range groups {
		for userID := range s.here[groupID] {
			users = append(users, group.Attendance{GroupID: groupID, UserID: userID, Here: true})
		}
	}
	s.mu.Unlock()
	if !same {
		return errChanged
	}
	told, err := s.write(ctx, self, users, true)
	if err == nil && self.before != "" { // others told that they went
		s.tellAll(users, told, true)
	}
	return err
}

// tellAll tells of the users who are marked, a group at a time.
func (s *Store) tellAll(users []group.Attendance, told []bool, here bool) {
	byGroup := make(map[string][]string)
	for i, u := range users {
		if told[i] {
			byGroup[u.GroupID] = append(byGroup[u.GroupID], u.UserID)
		}
	}
	for groupID, users := range byGroup {
		s.tell(groupID, users, here)
	}
}

// sweep takes a dead node's users out and tells of those who were nowhere
// else. Should two nodes sweep at once, each user is told by one of them.
func (s *Store) sweep(ctx context.Context, id string) error {
	self := s.identity()
	for cursor := uint64(0); ; {
		groups, next, err := s.scanGroups(ctx, id, cursor)
		if err != nil {
			return err
		}
		for _, groupID := range groups {
			if err := s.sweepGroup(ctx, identity{id: id, epoch: self.epoch}, groupID); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.client.Del(ctx, s.keys.node(id)).Err(); err != nil {
		return err
	}
	return s.client.HDel(ctx, s.keys.nodes(), "d "+id).Err()
}

func (s *Store) scanGroups(ctx context.Context, id string, cursor uint64) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.client.SScan(ctx, s.keys.node(id), cursor, "", scanBatch).Result()
}

func (s *Store) sweepGroup(ctx context.Context, dead identity, groupID string) error {
	for cursor := uint64(0); ; {
		users, next, err := s.scanUsers(ctx, dead, groupID, cursor)
		if err != nil {
			return err
		}
		told, err := s.write(ctx, dead, users, true)
		if err != nil {
			return err
		}
		s.tellAll(users, told, false)
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// scanUsers looks at some users of a group and returns those whom a node has.
func (s *Store) scanUsers(ctx context.Context, dead identity, groupID string, cursor uint64) ([]group.Attendance, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pairs, next, err := s.client.HScan(ctx, s.keys.group(groupID, dead.epoch), cursor, "", scanBatch).Result()
	var users []group.Attendance
	for i := 0; i+1 < len(pairs); i += 2 {
		if slices.Contains(strings.Fields(pairs[i+1]), dead.id) {
			users = append(users, group.Attendance{GroupID: groupID, UserID: pairs[i]})
		}
	}
	return users, next, err
}
