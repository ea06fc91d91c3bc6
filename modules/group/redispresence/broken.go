package redispresence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
)

// Another program, an operator or a fault of the server may store any value under this
// package's keys. A value that cannot be read counts as absent and is removed. Then every
// node registers its users of that group again.

const (
	// horizon bounds the times that this package stores: none is further in the future.
	horizon = 24 * time.Hour

	repairBatch = 100 // repaired groups that one renewal reports to the other nodes
	maxStrays   = 100 // unknown nodes that one reading collects
)

// brokenness is what this node knows about broken values.
type brokenness struct {
	values   int64               // found so far
	repaired map[string]struct{} // groups whose repair the other nodes must be told of
	last     string              // key of the last one
	until    time.Time           // by then every node has registered its users again
}

// brokenError names the key of a broken value. Store.Health returns it until all nodes have
// registered their users again.
type brokenError struct{ where string }

func (e brokenError) Error() string {
	return fmt.Sprintf("redispresence: %s held what Moim did not write; it was removed, and all nodes register their users again", e.where)
}

func isWrongType(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// Broken returns how many broken values this node has found.
func (s *Store) Broken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken.values
}

// Health returns an error while users may be missing because a broken value was removed.
func (s *Store) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.broken.until) {
		return brokenError{s.broken.last}
	}
	return nil
}

// noteBroken counts a broken value that was removed, and renews the lease to tell the other
// nodes. groupID is empty if the key belongs to no group.
func (s *Store) noteBroken(where, groupID string) {
	s.mu.Lock()
	first := !time.Now().Before(s.broken.until)
	s.broken.values++
	s.broken.last = where
	s.broken.until = time.Now().Add(time.Duration(s.settle()) * time.Millisecond)
	if groupID != "" {
		s.broken.repaired[groupID] = struct{}{}
	}
	s.mu.Unlock()
	if first {
		s.log.Warn("redispresence: a key held what Moim did not write; it is removed, and all nodes register their users again", "key", where)
	}
	s.renewNow()
}

// repairedGroups returns groups whose repair the next renewal reports to the other nodes.
func (s *Store) repairedGroups() (groups []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for groupID := range s.broken.repaired {
		if groups = append(groups, groupID); len(groups) == repairBatch {
			break
		}
	}
	return groups
}

// dropRepaired removes groups whose repair was reported.
func (s *Store) dropRepaired(groups []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, groupID := range groups {
		delete(s.broken.repaired, groupID)
	}
}

// forget makes this node register all that it knows about a group again.
func (s *Store) forget(groupID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.claims[groupID] {
		c.epoch = ""
	}
}

// retryRepaired repeats the calls that failed with BROKEN. Their script has removed the
// broken value.
func (s *Store) retryRepaired(ctx context.Context, calls []redis.Cmder) error {
	var again []redis.Cmder
	for _, call := range calls {
		if key, is := brokenKey(call.Err()); is {
			s.noteBroken(key, s.keys.groupOf(key))
			again = append(again, call)
		}
	}
	if len(again) == 0 {
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		repeat(again)(p)
		return nil
	})
	if isRefusal(err) {
		return nil // each call has its own error
	}
	return err
}

// brokenKey returns the key that a BROKEN error names. See group.lua.
func brokenKey(err error) (key string, is bool) {
	if !redis.HasErrorPrefix(err, "BROKEN ") {
		return "", false
	}
	_, key, is = strings.Cut(err.Error(), "BROKEN ")
	return key, is
}

// repairGroup removes the broken values of a group.
func (s *Store) repairGroup(ctx context.Context, groupID string) error {
	self := s.identity()
	return s.run(ctx, self, s.scripts.restore, func(p redis.Pipeliner) { // without users, the script only removes broken values
		s.scripts.restore.EvalSha(ctx, p, s.keys.group(groupID, self.epoch), timeToLive.Milliseconds(), 0, 0)
	})
}

// readable filters the error of a pipeline that only reads. It ignores the errors of broken
// values, and reports whether there were any.
func readable(cmds []redis.Cmder, err error) (broken bool, failed error) {
	if err == nil || !isRefusal(err) {
		return false, err
	}
	for _, cmd := range cmds {
		switch err := cmd.Err(); {
		case isWrongType(err):
			broken = true
		case err != nil && !errors.Is(err, redis.Nil):
			return broken, err
		}
	}
	return broken, nil
}

// removeStates removes live states that are not JSON, unless they have changed since.
func (s *Store) removeStates(ctx context.Context, groupID, epoch string, broken map[string]string) error {
	key := s.keys.group(groupID, epoch)[3]
	args := make([]any, 0, 2*len(broken))
	for userID, value := range broken {
		args = append(args, userID, value)
	}
	if err := s.scripts.unset.Run(ctx, s.client, []string{key}, args...).Err(); err != nil {
		return fmt.Errorf("remove broken live states: %w", err)
	}
	s.noteBroken(key, groupID)
	return nil
}

// storedState returns a live state as stored, or "" if it is broken.
func storedState(stored string) string {
	at, state, _ := strings.Cut(stored, " ")
	if timeOf(at).IsZero() || !json.Valid([]byte(state)) {
		return ""
	}
	return stored
}

// stateOf returns the live state without the time before it. It returns nil if there is
// none or if it is broken.
func stateOf(stored string) json.RawMessage {
	_, state, _ := strings.Cut(storedState(stored), " ")
	if state == "" {
		return nil
	}
	return json.RawMessage(state)
}

// sweepStrays sweeps nodes in one group. The server lists these nodes nowhere else: they
// may come from a broken value, or their record was lost with one.
func (s *Store) sweepStrays(ctx context.Context, groupID string, nodes []string) error {
	self := s.identity()
	for _, id := range nodes {
		stray := deadNode{identity{id: id, epoch: self.epoch}, group.ReasonNodeLost}
		if err := s.note(ctx, self.id, []string{groupID}); err != nil {
			return err
		}
		if err := s.sweepGroup(ctx, stray, groupID); err != nil {
			return fmt.Errorf("group %s: %w", groupID, err)
		}
	}
	return nil
}
