package redispresence

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
)

// keepLease renews this node's lease and sweeps what dead nodes left, until
// ctx ends.
func (s *Store) keepLease(ctx context.Context) {
	tick := time.NewTicker(s.renewEvery)
	defer tick.Stop()
	down := false
	for {
		err := s.renewLease(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !down:
			s.log.Warn("redispresence: presence cannot be kept; trying on", "err", err)
		case err == nil && down:
			s.log.Info("redispresence: presence is kept again")
		}
		down = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) renewLease(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.renewEvery)
	defer cancel()
	answer, err := s.renew.Run(ctx, s.client, []string{s.keys.nodes()}, s.node, s.lease.Milliseconds()).Slice()
	if err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	held, dead, err := parseRenewal(answer)
	if err != nil {
		return err
	}
	// The server lost the lease, or this node was away too long: others may
	// have swept what it claimed.
	if !held || time.Since(s.announced) > reannounce {
		if err := s.announce(ctx); err != nil {
			return err
		}
		s.announced = time.Now()
	}
	for _, node := range dead {
		if err := s.sweep(ctx, node); err != nil {
			return fmt.Errorf("sweep node %s: %w", node, err)
		}
	}
	return nil
}

func parseRenewal(answer []any) (held bool, dead []string, err error) {
	if len(answer) != 2 {
		return false, nil, fmt.Errorf("renew the lease: an answer of %d parts", len(answer))
	}
	n, _ := answer[0].(int64)
	list, _ := answer[1].([]any)
	for _, v := range list {
		if id, ok := v.(string); ok {
			dead = append(dead, id)
		}
	}
	return n == 1, dead, nil
}

// announce claims everything that is true on this node.
func (s *Store) announce(ctx context.Context) error {
	s.mu.Lock()
	var all []group.Attendance
	for groupID, users := range s.here {
		for userID := range users {
			all = append(all, group.Attendance{GroupID: groupID, UserID: userID, Here: true})
		}
	}
	s.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	if _, err := s.write(ctx, s.node, all); err != nil {
		return fmt.Errorf("announce who is here: %w", err)
	}
	return nil
}

// sweep takes a dead node's users out and tells of those who were nowhere
// else. Nodes that sweep at once share the work: each user is told by one.
func (s *Store) sweep(ctx context.Context, node string) error {
	groups, err := s.client.SMembers(ctx, s.keys.node(node)).Result()
	if err != nil {
		return err
	}
	for _, groupID := range groups {
		if err := s.sweepGroup(ctx, node, groupID); err != nil {
			return err
		}
	}
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, s.keys.node(node))
		p.ZRem(ctx, s.keys.nodes(), node)
		return nil
	})
	return err
}

func (s *Store) sweepGroup(ctx context.Context, node, groupID string) error {
	users, err := s.client.HGetAll(ctx, s.keys.group(groupID)).Result()
	if err != nil {
		return err
	}
	var left []group.Attendance
	for userID, nodes := range users {
		for id := range strings.FieldsSeq(nodes) {
			if id == node {
				left = append(left, group.Attendance{GroupID: groupID, UserID: userID})
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	last, err := s.write(ctx, node, left)
	if err != nil {
		return err
	}
	var gone []string
	for i, c := range left {
		if last[i] {
			gone = append(gone, c.UserID)
		}
	}
	if len(gone) > 0 {
		s.gone(groupID, gone)
	}
	return nil
}
