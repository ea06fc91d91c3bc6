package redispresence

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed renew.lua
	renewSource string
	//go:embed live.lua
	liveSource string
	//go:embed announced.lua
	announcedSource string
	//go:embed group.lua
	groupSource string
	//go:embed set.lua
	setSource string
	//go:embed end.lua
	endSource string
	//go:embed state.lua
	stateSource string
	//go:embed restore.lua
	restoreSource string
	//go:embed left.lua
	leftSource string
	//go:embed graces.lua
	gracesSource string
	//go:embed lately.lua
	latelySource string
)

type scripts struct{ renew, announced, set, end, state, restore, left, graces, lately *redis.Script }

func newScripts() scripts {
	return scripts{
		renew:     redis.NewScript(renewSource),
		announced: redis.NewScript(announcedSource),
		set:       redis.NewScript(groupSource + setSource),
		end:       redis.NewScript(groupSource + endSource),
		state:     redis.NewScript(groupSource + stateSource),
		restore:   redis.NewScript(groupSource + restoreSource),
		left:      redis.NewScript(leftSource),
		graces:    redis.NewScript(gracesSource),
		lately:    redis.NewScript(groupSource + latelySource),
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
		flag(self.epoch == "" && s.beginsAnew()),
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
	if r.status, _ = answer[1].(string); r.status == "left" {
		return renewal{}, errLeft
	}
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
		p.HSet(ctx, s.keys.nodes(), "d "+id, 0, "s "+id, 1)
		return nil
	})
	if err != nil {
		s.log.Debug("redispresence: this node's lease runs out by itself", "err", err)
	}
}

// run runs calls of one script in one round trip. It fails when one of them
// did, and as runEach does.
func (s *Store) run(ctx context.Context, self identity, script *redis.Script, fill func(redis.Pipeliner)) error {
	calls, err := s.runEach(ctx, self, script, fill)
	for _, call := range calls {
		if err := call.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return err
}

// runEach runs calls of one script that have nothing to do with each other in
// one round trip, and returns them: each has an answer or an error of its own.
// It fails when the server lost its data before they ran: what they answered
// means nothing then.
func (s *Store) runEach(ctx context.Context, self identity, script *redis.Script, fill func(redis.Pipeliner)) ([]redis.Cmder, error) {
	for again := false; ; again = true {
		cmds, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			fill(p)
			p.HGet(ctx, s.keys.nodes(), "epoch")
			return nil
		})
		if len(cmds) == 0 {
			return nil, err
		}
		last := len(cmds) - 1
		missing := 0
		for _, cmd := range cmds[:last] {
			if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
				missing++
			}
		}
		if missing > 0 && missing == last && !again { // else some did run
			if err := script.Load(ctx, s.client).Err(); err != nil {
				return nil, err
			}
			continue
		}
		if err := cmds[last].Err(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		if epoch, ok := cmds[last].(*redis.StringCmd); !ok || epoch.Val() != self.epoch {
			s.renewNow()
			return nil, errForgotten
		}
		return cmds[:last], nil
	}
}

// flag is a truth as scripts take it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func text(v any) string {
	t, _ := v.(string)
	return t
}

// timeOf reads a time in ms.
func timeOf(ms string) time.Time {
	n, _ := strconv.ParseInt(ms, 10, 64)
	return time.UnixMilli(n).UTC()
}
