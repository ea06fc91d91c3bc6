package redispresence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// tellAll reports users' transitions, with one call for each group.
func (s *Store) tellAll(users []change, told []result) {
	byGroup := make(map[string][]group.PresenceChange)
	for i, u := range users {
		if told[i].status != "" {
			byGroup[u.GroupID] = append(byGroup[u.GroupID], told[i].change(u.Attendance))
		}
	}
	for groupID, changes := range byGroup {
		s.tell(groupID, changes)
	}
}

// deadNode is a node to sweep, and the reason to report for its users.
type deadNode struct {
	identity
	reason string
}

// sweep removes a dead node's users, begins graces for users who are on no other node, and
// takes over the graces that the node watched. If two nodes sweep at once, only one of them
// reports each user. If the server refuses to change a group, the sweep continues, but the
// dead node stays listed for another sweep.
func (s *Store) sweep(ctx context.Context, name string) error {
	id, stopped, _ := strings.Cut(name, " ")
	self := s.identity()
	dead := deadNode{identity{id: id, epoch: self.epoch}, group.ReasonNodeLost}
	if stopped != "" {
		dead.reason = group.ReasonDrained
	}
	var refused error
	err := scan(func(cursor uint64) (uint64, error) {
		groups, next, err := s.scanGroups(ctx, id, cursor)
		if err != nil {
			return 0, err
		}
		// Before the sweep, so that other nodes find the graces if this node dies.
		if err := s.note(ctx, self.id, groups); err != nil {
			return 0, err
		}
		for _, groupID := range groups {
			if err := s.sweepGroup(ctx, dead, groupID); isRefusal(err) {
				refused = fmt.Errorf("group %s: %w", groupID, err)
			} else if err != nil {
				return 0, err
			}
		}
		return next, nil
	})
	if err != nil || refused != nil {
		return cmp.Or(err, refused)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.client.Del(ctx, s.keys.node(id)).Err(); err != nil {
		return err
	}
	return s.client.HDel(ctx, s.keys.nodes(), "d "+id, "s "+id).Err()
}

// isRefusal reports whether err is an error reply of the server. After any other error, the
// server does not answer, and the next call would only time out, too.
func isRefusal(err error) bool {
	_, is := errors.AsType[redis.Error](err)
	return is
}

// scan calls next with each returned cursor until the cursor is 0.
func scan(next func(cursor uint64) (uint64, error)) error {
	for cursor := uint64(0); ; {
		var err error
		if cursor, err = next(cursor); err != nil || cursor == 0 {
			return err
		}
	}
}

// scanGroups scans part of a node's groups. If the set of groups is broken, it returns the
// groups where this node has users. Other groups are swept when they are read.
func (s *Store) scanGroups(ctx context.Context, id string, cursor uint64) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	groups, next, err := s.client.SScan(ctx, s.keys.node(id), cursor, "", scanBatch).Result()
	if !isWrongType(err) {
		return groups, next, err
	}
	if err := s.dropGroups(ctx, id); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groupsLocked(), 0, nil
}

func (s *Store) sweepGroup(ctx context.Context, dead deadNode, groupID string) error {
	return scan(func(cursor uint64) (uint64, error) {
		users, next, err := s.scanUsers(ctx, dead, groupID, cursor)
		if err != nil {
			return 0, err
		}
		return next, s.sweepUsers(ctx, dead.identity, groupID, users)
	})
}

// sweepUsers removes users from a node. Users who are on no other node begin a grace. If
// the node died, the other users are reported as online, because the node may not have
// reported that.
func (s *Store) sweepUsers(ctx context.Context, of identity, groupID string, users []change) error {
	told, err := s.write(ctx, of, users)
	if err != nil {
		return err
	}
	s.mu.Lock()
	for i, u := range users {
		if c := s.claims.get(groupID, u.UserID); told[i].status == group.StatusReconnecting && (c == nil || !c.here && !c.unsure) {
			s.graceLocked(s.self, u.Attendance, told[i])
		}
	}
	s.watchLocked(groupID, time.Now())
	s.mu.Unlock()
	s.tellAll(users, told)
	return nil
}

// scanUsers scans part of a group's users and returns those on the dead node.
func (s *Store) scanUsers(ctx context.Context, dead deadNode, groupID string, cursor uint64) ([]change, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pairs, next, err := s.client.HScan(ctx, s.keys.users(groupID, dead.epoch), cursor, "", scanBatch).Result()
	if isWrongType(err) {
		return nil, 0, s.repairGroup(ctx, groupID)
	}
	var users []change
	for i := 0; i+1 < len(pairs); i += 2 {
		if slices.Contains(strings.Fields(pairs[i+1]), dead.id) {
			users = append(users, change{Attendance: presence.Attendance{GroupID: groupID, UserID: pairs[i], Reason: dead.reason}})
		}
	}
	return users, next, err
}
