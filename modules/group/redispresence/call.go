package redispresence

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/group"
)

// batch is how many users one round trip writes.
const batch = 500

var (
	//go:embed renew.lua
	renewSource string
	//go:embed live.lua
	liveSource string
	//go:embed announced.lua
	announcedSource string
	//go:embed set.lua
	setSource string
)

type scripts struct{ renew, announced, set *redis.Script }

func newScripts() scripts {
	return scripts{
		renew:     redis.NewScript(renewSource),
		announced: redis.NewScript(announcedSource),
		set:       redis.NewScript(setSource),
	}
}

// renewal is what a renewal of the lease answers.
type renewal struct {
	epoch  string
	status string
	live   []string
	dead   []string
}

// renew renews a node's lease; see renew.lua. The id of before is given up.
func (s *Store) renew(ctx context.Context, self identity, before string, peers []string) (renewal, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	args := []any{
		self.id, self.epoch, s.timing.lease.Milliseconds(), s.settle(), s.away(), before, (2 * timeToLive).Milliseconds(),
	}
	for _, id := range peers {
		args = append(args, id)
	}
	answer, err := s.scripts.renew.Run(ctx, s.client, []string{s.keys.nodes()}, args...).Slice()
	if err != nil {
		return renewal{}, fmt.Errorf("renew the lease: %w", err)
	}
	if len(answer) != 4 {
		return renewal{}, fmt.Errorf("renew the lease: an answer of %d parts", len(answer))
	}
	r := renewal{live: texts(answer[2]), dead: texts(answer[3])}
	r.epoch, _ = answer[0].(string)
	r.status, _ = answer[1].(string)
	return r, nil
}

// settle is after how many ms every live node has come.
func (s *Store) settle() int64 { return (s.timing.lease + s.timing.renew).Milliseconds() }

// away is after how many ms without any node the server was out of reach.
func (s *Store) away() int64 { return (2 * s.timing.renew).Milliseconds() }

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		if text, ok := v.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// announced tells that all of this node's users are entered.
func (s *Store) announced(ctx context.Context, self identity) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.scripts.announced.Run(ctx, s.client, []string{s.keys.nodes()}, self.id, self.epoch).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("announce that all users are entered: %w", err)
	}
	return nil
}

// release gives the lease up. What is left of this node is swept by another.
func (s *Store) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s.mu.Lock()
	id := s.self.id
	s.mu.Unlock()
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HDel(ctx, s.keys.nodes(), "n "+id, "a "+id, "w "+id)
		p.HSet(ctx, s.keys.nodes(), "d "+id, 0)
		return nil
	})
	if err != nil {
		s.log.Debug("redispresence: this node's lease runs out by itself", "err", err)
	}
}

// write stores changes under an identity and says of each whether no other
// node has the user, or, for changes only, whether that became so just now.
func (s *Store) write(ctx context.Context, self identity, changes []group.Attendance, changesOnly bool) ([]bool, error) {
	told := make([]bool, len(changes))
	for from := 0; from < len(changes); from += batch {
		part := changes[from:min(from+batch, len(changes))]
		if err := s.writePart(ctx, self, part, changesOnly, told[from:from+len(part)]); err != nil {
			return nil, err
		}
	}
	return told, nil
}

// setCall is one call of set.lua: users of one group.
type setCall struct {
	groupID string
	here    bool
}

func (s *Store) writePart(ctx context.Context, self identity, changes []group.Attendance, changesOnly bool, told []bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	calls := make(map[setCall][]int)
	var groups []any
	for i, c := range changes {
		call := setCall{c.GroupID, c.Here}
		if calls[call] == nil && c.Here {
			groups = append(groups, c.GroupID)
		}
		calls[call] = append(calls[call], i)
	}
	// First where to look for this node's users, for whoever sweeps it.
	if len(groups) > 0 {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.SAdd(ctx, s.keys.node(self.id), groups...)
			p.PExpire(ctx, s.keys.node(self.id), timeToLive)
			return nil
		})
		if err != nil {
			return fmt.Errorf("note the groups of this node: %w", err)
		}
	}
	err := s.set(ctx, self, changes, calls, changesOnly, told)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err = s.scripts.set.Load(ctx, s.client).Err(); err == nil {
			err = s.set(ctx, self, changes, calls, changesOnly, told)
		}
	}
	if err != nil {
		return fmt.Errorf("store who is present: %w", err)
	}
	return nil
}

func (s *Store) set(ctx context.Context, self identity, changes []group.Attendance, calls map[setCall][]int, changesOnly bool, told []bool) error {
	results := make(map[setCall]*redis.Cmd, len(calls))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for call, at := range calls {
			args := []any{self.id, flag(call.here), flag(changesOnly), timeToLive.Milliseconds(), self.before}
			for _, i := range at {
				args = append(args, changes[i].UserID)
			}
			results[call] = s.scripts.set.EvalSha(ctx, p, []string{s.keys.group(call.groupID, self.epoch)}, args...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for call, result := range results {
		positions, err := result.Int64Slice()
		if err != nil {
			return err
		}
		for _, n := range positions {
			if n < 1 || int(n) > len(calls[call]) {
				return fmt.Errorf("an answer out of bounds: %d", n)
			}
			told[calls[call][n-1]] = true
		}
	}
	return nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
