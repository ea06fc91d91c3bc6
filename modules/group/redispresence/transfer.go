package redispresence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A node may have a store on each of two servers. This file fills the second store from the
// first, and then takes the first out of use.

// ErrEntering is returned by [Store.Entered] before the server knows all users of this
// node.
var ErrEntering = errors.New("the server does not know all users of this node yet")

// copyBatch is how many groups one round trip copies.
const copyBatch = 100

// Inherit makes s begin with the users who are on this node according to from, a store of
// the same node on another server. Once started, s registers them and does not report them.
// It discards the server's old data unless another node is alive there. Call Inherit before
// Start.
func (s *Store) Inherit(from *Store) {
	from.mu.Lock()
	defer from.mu.Unlock()
	s.mu.Lock() // s is not in use yet, so no other goroutine locks in the opposite order
	defer s.mu.Unlock()
	s.discardOld = true
	for groupID, users := range from.claims {
		for userID, c := range users {
			if c.here {
				s.claims.put(groupID, userID, &claim{here: true, state: c.state})
			}
		}
	}
}

// Entered returns nil once the server answers and knows all users of this node. Until then
// it returns [ErrEntering], or the reason why the server cannot be used.
func (s *Store) Entered(ctx context.Context) error {
	s.mu.Lock()
	down, entered := s.down, s.registeredAs == s.self && s.self.epoch != ""
	s.mu.Unlock()
	if down != nil {
		return down
	}
	if !entered {
		return ErrEntering
	}
	_, err := s.Count(ctx, nil)
	return err
}

// SharesServer reports whether both stores have joined the same server.
func (s *Store) SharesServer(other *Store) bool {
	epoch := s.identity().epoch
	return epoch != "" && epoch == other.identity().epoch
}

// Nodes returns how many nodes are alive according to the server, and how many are dead and
// not swept yet.
func (s *Store) Nodes(ctx context.Context) (alive, dead int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	fields, err := s.client.HGetAll(ctx, s.keys.nodes()).Result()
	if err != nil {
		return 0, 0, fmt.Errorf("count the nodes: %w", err)
	}
	for f := range fields {
		switch {
		case strings.HasPrefix(f, "n "):
			alive++
		case strings.HasPrefix(f, "d "):
			dead++
		}
	}
	return alive, dead, nil
}

// SetStateAt stores a live state that was set at the given time, unless a newer one is
// stored.
func (s *Store) SetStateAt(ctx context.Context, groupID, userID string, state json.RawMessage, at time.Time) error {
	return s.ask(ctx, func(ctx context.Context, _ string) error {
		_, err := s.setState(ctx, groupID, userID, state, at)
		return err
	})
}

// Leave stops the store like Stop, when all nodes move to another server. Users of this
// node do not setIdentity reconnecting. Afterwards, stores of nodes that still use the server
// return errors.
func (s *Store) Leave(ctx context.Context) error {
	return s.close(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		self := s.identity()
		if err := s.scripts.left.Run(ctx, s.client, []string{s.keys.nodes()}, self.id, self.epoch).Err(); err != nil {
			s.log.Debug("redispresence: cannot record that the nodes left this server", "err", err)
		}
	})
}

// CopyTo copies to the server of other: the live states of this node's users, the graces
// that this node watches, and the users in those groups who went offline lately. It does
// not change users whom that server lists as online or reconnecting. Call CopyTo once all
// nodes have registered their users there.
func (s *Store) CopyTo(ctx context.Context, other *Store) error {
	s.mu.Lock()
	self, groups := s.self, s.groupsLocked()
	s.mu.Unlock()
	for part := range slices.Chunk(groups, copyBatch) {
		records, err := s.export(ctx, self.epoch, part)
		if err == nil {
			err = other.adopt(ctx, slices.DeleteFunc(records, s.isForeign))
		}
		if err != nil {
			return fmt.Errorf("copy what the server knows of groups: %w", err)
		}
	}
	return nil
}

// isForeign reports whether another node copies this record.
func (s *Store) isForeign(r record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c := s.claims.get(r.groupID, r.userID); {
	case r.reason != "":
		_, watched := s.watched[r.groupID]
		return !watched
	case r.since == "":
		return c == nil || !c.here
	}
	return false
}

// record is what a server knows about a user, except the user's nodes.
type record struct {
	groupID, userID string

	reason string        // why the user is reconnecting; empty if they are not
	since  string        // when the user left, in ms; empty if they are online
	left   time.Duration // rest of the grace
	state  string        // the live state in its stored form, or empty
}

// export reads the records of groups in one round trip.
func (s *Store) export(ctx context.Context, epoch string, groups []string) ([]record, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	now := pipe.Time(ctx)
	results := make([]groupResults, len(groups))
	for i, groupID := range groups {
		results[i] = readGroup(ctx, pipe, s.keys.group(groupID, epoch))
	}
	if _, err := readable(pipe.Exec(ctx)); err != nil { // broken values are not copied
		return nil, err
	}
	var all []record
	for i, groupID := range groups {
		all = append(all, results[i].records(groupID, now.Val())...)
	}
	return all, nil
}

func (g groupResults) records(groupID string, now time.Time) (all []record) {
	states := g.states.Val()
	for _, z := range g.graces.Val() {
		userID, _ := z.Member.(string)
		reason, since, known := strings.Cut(g.reasons.Val()[userID], " ")
		if !known || timeOf(since).IsZero() { // the grace ended while it was read, or the value is broken
			continue
		}
		left := max(timeOfScore(z.Score).Sub(now), 0)
		all = append(all, record{groupID: groupID, userID: userID, reason: reason, since: since, left: left, state: storedState(states[userID])})
		delete(states, userID)
	}
	for _, z := range g.lately.Val() {
		userID, _ := z.Member.(string)
		if at := timeOfScore(z.Score); !at.IsZero() {
			all = append(all, record{groupID: groupID, userID: userID, since: strconv.FormatInt(at.UnixMilli(), 10)})
		}
	}
	for userID, state := range states {
		state = storedState(state)
		all = append(all, record{groupID: groupID, userID: userID, state: state})
	}
	return all
}

// adopt stores records from another server. This node then ends the graces among them.
func (s *Store) adopt(ctx context.Context, records []record) error {
	self := s.identity()
	graces := make(map[string]struct{})
	for _, r := range records {
		if r.reason != "" {
			graces[r.groupID] = struct{}{}
		}
	}
	if err := s.note(ctx, self.id, slices.Collect(maps.Keys(graces))); err != nil {
		return err
	}
	if err := s.restore(ctx, self, records); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		if r.reason == "" {
			continue
		}
		until := time.Now().Add(r.left)
		if s.claims.get(r.groupID, r.userID) == nil {
			s.claims.put(r.groupID, r.userID, &claim{id: self.id, epoch: self.epoch, until: until, reason: r.reason, since: r.since, state: r.state})
		}
		s.watchLocked(r.groupID, until)
	}
	return nil
}
