package redispresence

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// batch is how many users one round trip writes.
const batch = 500

// change is one user's change to write.
type change struct {
	presence.Attendance
	force bool // report the change even if the server finds nothing new
}

// result is a transition to report. If status is empty, there is none.
type result struct {
	status string
	state  string // in its stored form
	at     string // in ms
	back   bool   // the user is online and was reconnecting
}

func (r result) change(a presence.Attendance) group.PresenceChange {
	if r.status == "" {
		return group.PresenceChange{At: timeOf(r.at)}
	}
	c := group.PresenceChange{UserID: a.UserID, Status: r.status, State: stateOf(r.state), At: timeOf(r.at), Returned: r.back}
	if c.Status != group.StatusOnline {
		c.Reason = a.Reason
	}
	return c
}

// write stores changes under an identity.
func (s *Store) write(ctx context.Context, self identity, changes []change) ([]result, error) {
	told := make([]result, len(changes))
	for from := 0; from < len(changes); from += batch {
		to := min(from+batch, len(changes))
		if err := s.writePart(ctx, self, changes[from:to], told[from:to]); err != nil {
			return nil, fmt.Errorf("store who is present: %w", err)
		}
	}
	return told, nil
}

// setCall holds the arguments of one call of set.lua, which covers users of one group.
type setCall struct {
	groupID, op, reason string
	force, forget       bool
}

func (c change) call() setCall {
	call := setCall{groupID: c.GroupID, op: "put", force: c.force}
	if !c.Here {
		call.op, call.reason, call.forget = "wait", c.Reason, c.Forget
		switch {
		case c.Final:
			call.op = "take"
		case c.Reason == group.ReasonNodeLost:
			call.op = "lost"
		}
	}
	return call
}

func (s *Store) writePart(ctx context.Context, self identity, changes []change, told []result) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	calls := make(map[setCall][]int)
	for i, c := range changes {
		call := c.call()
		calls[call] = append(calls[call], i)
	}
	results := make(map[setCall]*redis.Cmd, len(calls))
	err := s.run(ctx, self, s.scripts.set, func(p redis.Pipeliner) {
		for call, at := range calls {
			args := []any{
				timeToLive.Milliseconds(), self.id, self.before, call.op, flag(call.force),
				s.grace.Milliseconds(), call.reason, flag(call.forget), presence.LatelyFor.Milliseconds(), presence.LatelyMax,
			}
			for _, i := range at {
				args = append(args, changes[i].UserID)
			}
			results[call] = s.scripts.set.EvalSha(ctx, p, s.keys.group(call.groupID, self.epoch), args...)
		}
	})
	if err != nil {
		return err
	}
	for call, result := range results {
		if err := readSet(result, calls[call], told); err != nil {
			return err
		}
	}
	return nil
}

// readSet parses the reply of set.lua. at has the positions in told of the call's users.
func readSet(answer *redis.Cmd, at []int, told []result) error {
	parts, err := answer.Slice()
	if err != nil {
		return err
	}
	if len(parts)%3 != 1 {
		return fmt.Errorf("an answer of %d parts", len(parts))
	}
	for _, i := range at {
		told[i].at = text(parts[0])
	}
	for i := 1; i < len(parts); i += 3 {
		n, _ := parts[i].(int64)
		if n < 1 || int(n) > len(at) {
			return fmt.Errorf("an answer out of bounds: %v", parts[i])
		}
		r := result{status: text(parts[i+1]), state: storedState(text(parts[i+2])), at: text(parts[0])}
		if r.back = r.status == "back"; r.back {
			r.status = group.StatusOnline
		}
		told[at[n-1]] = r
	}
	return nil
}

// note adds groups to the stored list of a node's groups. The node that sweeps it reads
// that list.
func (s *Store) note(ctx context.Context, id string, groups []string) error {
	if len(groups) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	members := make([]any, len(groups))
	for i, groupID := range groups {
		members[i] = groupID
	}
	add := func() error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.SAdd(ctx, s.keys.node(id), members...)
			p.PExpire(ctx, s.keys.node(id), timeToLive)
			return nil
		})
		return err
	}
	err := add()
	if isWrongType(err) {
		if err = s.dropGroups(ctx, id); err == nil {
			err = add()
		}
	}
	if err != nil {
		return fmt.Errorf("note the groups of this node: %w", err)
	}
	return nil
}

// dropGroups removes a node's list of groups, which is broken. If the node is alive, it
// writes the list again when it registers its users.
func (s *Store) dropGroups(ctx context.Context, id string) error {
	key := s.keys.node(id)
	if err := s.client.Del(ctx, key).Err(); err != nil {
		return err
	}
	s.noteBroken(key, "")
	return nil
}

// groupsOf returns the groups where this node has users or graces after the changes.
func groupsOf(changes []change) []string {
	var groups []string
	seen := make(map[string]struct{})
	for _, c := range changes {
		if _, is := seen[c.GroupID]; !is && (c.Here || !c.Final) {
			seen[c.GroupID] = struct{}{}
			groups = append(groups, c.GroupID)
		}
	}
	return groups
}
