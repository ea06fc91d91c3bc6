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

// Another program, an operator or a fault of the server may leave anything under
// this package's keys. What cannot be read counts as absent and is removed. Then
// every node enters its users of that group again.

const (
	// horizon is how far ahead of now no time is that this package stores.
	horizon = 24 * time.Hour

	mendBatch = 100 // groups of which one renewal tells the other nodes
	maxStrays = 100 // nodes that one reading finds to be unknown
)

// brokenness is what this node knows of broken values.
type brokenness struct {
	values int64               // found so far
	mended map[string]struct{} // groups that the other nodes must be told of
	last   string              // where the last one was
	until  time.Time           // when every node has entered again what it replaced
}

// brokenError says where a value was broken. The group role's health is so until what
// the value replaced is entered again.
type brokenError struct{ where string }

func (e brokenError) Error() string {
	return fmt.Sprintf("redispresence: %s held what Moim did not write; it was removed, and all nodes enter their users again", e.where)
}

func isWrongType(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// Broken returns how many broken values this node has found.
func (s *Store) Broken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken.values
}

// Health returns an error while what a broken value replaced may be missing.
func (s *Store) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.broken.until) {
		return brokenError{s.broken.last}
	}
	return nil
}

// noteBroken notes a broken value that was removed. groupID is empty for one that
// belongs to no group.
func (s *Store) noteBroken(where, groupID string) {
	s.mu.Lock()
	first := !time.Now().Before(s.broken.until)
	s.broken.values++
	s.broken.last = where
	s.broken.until = time.Now().Add(time.Duration(s.settle()) * time.Millisecond)
	if groupID != "" {
		s.broken.mended[groupID] = struct{}{}
	}
	s.mu.Unlock()
	if first {
		s.log.Warn("redispresence: a key held what Moim did not write; it is removed, and all nodes enter their users again", "key", where)
	}
	s.renewNow()
}

// takeMended returns groups of which to tell the other nodes.
func (s *Store) takeMended() (groups []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for groupID := range s.broken.mended {
		if groups = append(groups, groupID); len(groups) == mendBatch {
			break
		}
	}
	return groups
}

// toldMended notes that the other nodes are told.
func (s *Store) toldMended(groups []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, groupID := range groups {
		delete(s.broken.mended, groupID)
	}
}

// forget makes this node enter all that it knows of a group again.
func (s *Store) forget(groupID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.claims[groupID] {
		c.epoch = ""
	}
}

// runMended makes calls again that have removed a broken value.
func (s *Store) runMended(ctx context.Context, calls []redis.Cmder) error {
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

// brokenKey returns the key of the answer BROKEN; see group.lua.
func brokenKey(err error) (key string, is bool) {
	if !redis.HasErrorPrefix(err, "BROKEN ") {
		return "", false
	}
	_, key, is = strings.Cut(err.Error(), "BROKEN ")
	return key, is
}

// mendGroup removes the broken values of a group.
func (s *Store) mendGroup(ctx context.Context, groupID string) error {
	self := s.identity()
	return s.run(ctx, self, s.scripts.restore, func(p redis.Pipeliner) { // it restores nobody
		s.scripts.restore.EvalSha(ctx, p, s.keys.group(groupID, self.epoch), timeToLive.Milliseconds(), 0, 0)
	})
}

// readable is the error of a pipeline that reads, without those of broken values:
// their commands have read nothing. It reports whether there were some.
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

// removeStates removes live states that are no JSON, unless they have changed.
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

// stateOf returns the state from its stored form, which begins with the time. It is
// nil if there is none, or a broken one.
func stateOf(stored string) json.RawMessage {
	_, state, _ := strings.Cut(storedState(stored), " ")
	if state == "" {
		return nil
	}
	return json.RawMessage(state)
}

// sweepStrays sweeps a group of nodes that the server lists nowhere else: a broken
// value may have named them, or lost them.
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
