package redispresence

import (
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

// tellAll tells of users, a group at a time.
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

// deadNode is a node to sweep.
type deadNode struct {
	identity
	reason string // why its users are gone
}

// sweep takes a dead node's users out, waits for those who were nowhere else,
// and takes over whom it waited for. Should two nodes sweep at once, each user
// is told by one of them. A group that the server refuses to change keeps no
// other from being swept; the node stays to be swept then.
func (s *Store) sweep(ctx context.Context, name string) error {
	id, stopped, _ := strings.Cut(name, " ")
	self := s.identity()
	dead := deadNode{identity{id: id, epoch: self.epoch}, group.ReasonNodeLost}
	if stopped != "" {
		dead.reason = group.ReasonDrained
	}
	var refused error
	for cursor := uint64(0); ; {
		groups, next, err := s.scanGroups(ctx, id, cursor)
		if err != nil {
			return err
		}
		// First where to look for those who are waited for, should this node die.
		if err := s.note(ctx, self.id, groups); err != nil {
			return err
		}
		for _, groupID := range groups {
			if err := s.sweepGroup(ctx, dead, groupID); isRefusal(err) {
				refused = fmt.Errorf("group %s: %w", groupID, err)
			} else if err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	if refused != nil {
		return refused
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.client.Del(ctx, s.keys.node(id)).Err(); err != nil {
		return err
	}
	return s.client.HDel(ctx, s.keys.nodes(), "d "+id, "s "+id).Err()
}

// isRefusal reports an answer of the server, unlike that it does not answer:
// then the next call would only wait as long.
func isRefusal(err error) bool {
	_, is := errors.AsType[redis.Error](err)
	return is
}

func (s *Store) scanGroups(ctx context.Context, id string, cursor uint64) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.client.SScan(ctx, s.keys.node(id), cursor, "", scanBatch).Result()
}

func (s *Store) sweepGroup(ctx context.Context, dead deadNode, groupID string) error {
	for cursor := uint64(0); ; {
		users, next, err := s.scanUsers(ctx, dead, groupID, cursor)
		if err != nil {
			return err
		}
		if err := s.sweepUsers(ctx, dead.identity, groupID, users); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// sweepUsers takes users out of a node, and waits for those who are nowhere
// else.
func (s *Store) sweepUsers(ctx context.Context, of identity, groupID string, users []change) error {
	told, err := s.write(ctx, of, users)
	if err != nil {
		return err
	}
	s.mu.Lock()
	for i, u := range users {
		if c := s.claims.get(groupID, u.UserID); told[i].status != "" && (c == nil || !c.here && !c.unsure) {
			s.waitsLocked(s.self, u.Attendance, told[i])
		}
	}
	s.watchLocked(groupID, time.Now())
	s.mu.Unlock()
	s.tellAll(users, told)
	return nil
}

// scanUsers looks at some users of a group and returns those whom a node has.
func (s *Store) scanUsers(ctx context.Context, dead deadNode, groupID string, cursor uint64) ([]change, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pairs, next, err := s.client.HScan(ctx, s.keys.users(groupID, dead.epoch), cursor, "", scanBatch).Result()
	var users []change
	for i := 0; i+1 < len(pairs); i += 2 {
		if slices.Contains(strings.Fields(pairs[i+1]), dead.id) {
			users = append(users, change{Attendance: presence.Attendance{GroupID: groupID, UserID: pairs[i], Reason: dead.reason}})
		}
	}
	return users, next, err
}
