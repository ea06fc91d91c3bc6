package redispresence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// What a store on another server takes over from this one: its node's users as
// if that server had forgotten them, then what only this server knows.

var errEntering = errors.New("redispresence: this node's users are being entered")

// copyBatch is how many groups one round trip copies.
const copyBatch = 100

// beginsAnew reports whether what the server has is to be forgotten when nobody
// is alive there.
func (s *Store) beginsAnew() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh
}

// adopt makes s enter, once it is started, who is here by other, a store of the
// same node; states are live states that other's server knows.
func (s *Store) adopt(other *Store, states map[attendee]string) {
	other.mu.Lock()
	defer other.mu.Unlock()
	s.mu.Lock() // nobody else knows s, or nobody takes other's lock after it
	defer s.mu.Unlock()
	for groupID, users := range other.claims {
		for userID, c := range users {
			if c.here {
				state := newer(c.state, states[attendee{groupID, userID}])
				s.claims.put(groupID, userID, &claim{here: true, state: state})
			}
		}
	}
}

// attendee is a user in a group.
type attendee struct{ groupID, userID string }

// newer returns the later of two states as stored.
func newer(a, b string) string {
	if setAt(b) > setAt(a) {
		return b
	}
	return a
}

func setAt(stored string) int64 {
	at, _, _ := strings.Cut(stored, " ")
	ms, _ := strconv.ParseInt(at, 10, 64)
	return ms
}

// leave stops s for good: this node goes to another server, and so do all.
func (s *Store) leave(ctx context.Context) error {
	return s.close(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		self := s.identity()
		if err := s.scripts.left.Run(ctx, s.client, []string{s.keys.nodes()}, self.id, self.epoch).Err(); err != nil {
			s.log.Debug("redispresence: a server that is left does not answer", "err", err)
		}
	})
}

// ready returns nil once the server knows all users of this node and answers.
func (s *Store) ready(ctx context.Context) error {
	s.mu.Lock()
	down, entered := s.down, s.allIn == s.self && s.self.epoch != ""
	s.mu.Unlock()
	if down != nil {
		return down
	}
	if !entered {
		return errEntering
	}
	_, err := s.Count(ctx, nil)
	return err
}

// census returns how many nodes the server thinks to be alive, and how many
// are dead and not swept yet.
func (s *Store) census(ctx context.Context) (alive, dead int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	fields, err := s.client.HGetAll(ctx, s.keys.nodes()).Result()
	for f := range fields {
		switch {
		case strings.HasPrefix(f, "n "):
			alive++
		case strings.HasPrefix(f, "d "):
			dead++
		}
	}
	if err != nil {
		err = fmt.Errorf("count the nodes: %w", err)
	}
	return alive, dead, err
}

// groupsHere returns the groups where this node has users; graces adds those
// where it looks after graces.
func (s *Store) groupsHere(graces bool) (identity, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := slices.Collect(maps.Keys(s.claims))
	if graces {
		for groupID := range s.watched {
			if s.claims[groupID] == nil {
				groups = append(groups, groupID)
			}
		}
	}
	return s.self, groups
}

// inGroups reads something of groups, many in one round trip.
func inGroups[T redis.Cmder](ctx context.Context, s *Store, epoch string, groups []string,
	ask func(ctx context.Context, pipe redis.Pipeliner, keys []string) T, answer func(groupID string, got T) error,
) error {
	for part := range slices.Chunk(groups, copyBatch) {
		got := make([]T, len(part))
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, groupID := range part {
				got[i] = ask(ctx, pipe, s.keys.group(groupID, epoch))
			}
			return nil
		})
		cancel()
		if err != nil {
			return err
		}
		for i, groupID := range part {
			if err := answer(groupID, got[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// statesHere reads the live states of groups where this node has users.
func (s *Store) statesHere(ctx context.Context) (map[attendee]string, error) {
	states := make(map[attendee]string)
	self, groups := s.groupsHere(false)
	err := inGroups(ctx, s, self.epoch, groups, func(ctx context.Context, pipe redis.Pipeliner, keys []string) *redis.MapStringStringCmd {
		return pipe.HGetAll(ctx, keys[3])
	}, func(groupID string, got *redis.MapStringStringCmd) error {
		for userID, state := range got.Val() {
			states[attendee{groupID, userID}] = state
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read live states: %w", err)
	}
	return states, nil
}

// copyLately copies to another server who was seen lately in groups where this
// node has users.
func (s *Store) copyLately(ctx context.Context, to *Store) error {
	self, groups := s.groupsHere(true)
	other := to.identity()
	seen := make(map[string][]any)
	err := inGroups(ctx, s, self.epoch, groups, func(ctx context.Context, pipe redis.Pipeliner, keys []string) *redis.ZSliceCmd {
		return pipe.ZRangeWithScores(ctx, keys[4], 0, -1)
	}, func(groupID string, got *redis.ZSliceCmd) error {
		for _, z := range got.Val() {
			seen[groupID] = append(seen[groupID], z.Member, strconv.FormatInt(int64(z.Score), 10))
		}
		return nil
	})
	for part := range slices.Chunk(slices.Collect(maps.Keys(seen)), copyBatch) {
		if err != nil {
			break
		}
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		err = to.run(limited, other, to.scripts.lately, func(p redis.Pipeliner) {
			for _, groupID := range part {
				args := append([]any{timeToLive.Milliseconds(), presence.LatelyFor.Milliseconds(), presence.LatelyMax}, seen[groupID]...)
				to.scripts.lately.EvalSha(limited, p, to.keys.group(groupID, other.epoch), args...)
			}
		})
		cancel()
	}
	if err != nil {
		return fmt.Errorf("copy who was there lately: %w", err)
	}
	return nil
}

// copyGraces makes another server wait for those whom this one waits for, in
// groups that this node looks after, as long as they have left. Whoever is
// there, or is waited for already, stays as it is: all nodes must have entered
// their users.
func (s *Store) copyGraces(ctx context.Context, to *Store) error {
	s.mu.Lock()
	self, groups := s.self, slices.Collect(maps.Keys(s.watched))
	s.mu.Unlock()
	other := to.identity()
	clock, err := s.client.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("copy graces: %w", err)
	}
	ahead := time.Until(clock)
	var waits []claimOf
	err = inGroups(ctx, s, self.epoch, groups, func(ctx context.Context, pipe redis.Pipeliner, keys []string) *redis.Cmd {
		return s.scripts.graces.Eval(ctx, pipe, keys)
	}, func(groupID string, got *redis.Cmd) error {
		parts, err := got.Slice()
		if err != nil || len(parts)%4 != 0 {
			return errors.Join(err, fmt.Errorf("an answer of %d parts", len(parts)))
		}
		for p := range slices.Chunk(texts(parts), 4) { // user, end, reason since, state
			ms, _ := strconv.ParseInt(p[1], 10, 64)
			reason, since, known := strings.Cut(p[2], " ")
			if !known {
				reason, since = group.ReasonDropped, strconv.FormatInt(clock.UnixMilli(), 10)
			}
			waits = append(waits, claimOf{groupID, p[0], claim{
				until: time.UnixMilli(ms).Add(-ahead), reason: reason, since: since, state: p[3],
			}})
		}
		return nil
	})
	if err == nil {
		err = to.takeOver(ctx, other, waits)
	}
	if err != nil {
		return fmt.Errorf("copy graces: %w", err)
	}
	return nil
}

// takeOver waits for users whom another server waits for.
func (s *Store) takeOver(ctx context.Context, self identity, waits []claimOf) error {
	for part := range slices.Chunk(waits, batch) {
		byGroup := make(map[string][]any)
		for _, w := range part {
			left := max(time.Until(w.claim.until).Milliseconds(), 0)
			byGroup[w.groupID] = append(byGroup[w.groupID], w.userID, w.claim.reason, w.claim.since, left, w.claim.state)
		}
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		err := s.note(limited, self.id, slices.Collect(maps.Keys(byGroup)))
		if err == nil {
			err = s.callRestore(limited, self, byGroup)
		}
		cancel()
		if err != nil {
			return err
		}
		s.mu.Lock()
		for _, w := range part {
			if s.claims.get(w.groupID, w.userID) == nil {
				c := w.claim
				c.id, c.epoch = self.id, self.epoch
				s.claims.put(w.groupID, w.userID, &c)
			}
			s.watchLocked(w.groupID, w.claim.until)
		}
		s.mu.Unlock()
	}
	return nil
}
