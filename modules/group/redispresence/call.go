package redispresence

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed *.lua
var sources embed.FS

type scripts struct{ renew, live, announced, left, set, end, state, restore, unset *redis.Script }

func newScripts() scripts {
	return scripts{
		renew:     script("nodes.lua", "renew.lua"),
		live:      script("nodes.lua", "live.lua"),
		announced: script("announced.lua"),
		left:      script("left.lua"),
		set:       script("group.lua", "set.lua"),
		end:       script("group.lua", "end.lua"),
		state:     script("group.lua", "state.lua"),
		restore:   script("group.lua", "restore.lua"),
		unset:     script("unset.lua"),
	}
}

// script joins files to one script.
func script(files ...string) *redis.Script {
	var source []byte
	for _, file := range files {
		text, err := sources.ReadFile(file)
		if err != nil {
			panic(err) // the files are embedded
		}
		source = append(source, text...)
	}
	return redis.NewScript(string(source))
}

// renewal is the reply of renew.lua.
type renewal struct {
	epoch    string
	status   string
	live     []string
	dead     []string
	repaired []string // repaired groups: "<ms> <group>"
	broken   bool     // the key held another type than a hash
}

// renew renews a node's lease (renew.lua). It gives up the id before, if that is not empty,
// and reports the groups that this node has repaired to the other nodes.
func (s *Store) renew(ctx context.Context, self identity, before string, repaired, peers []string) (renewal, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	args := []any{
		self.id, self.epoch, s.timing.Lease.Milliseconds(), s.settle(), s.away(), before, (2 * timeToLive).Milliseconds(),
		flag(self.epoch == "" && s.discardOld), len(repaired),
	}
	for _, part := range slices.Concat(repaired, peers) {
		args = append(args, part)
	}
	answer, err := s.scripts.renew.Run(ctx, s.client, []string{s.keys.nodes()}, args...).Slice()
	if err != nil {
		return renewal{}, fmt.Errorf("renew the lease: %w", err)
	}
	if len(answer) != 6 {
		return renewal{}, fmt.Errorf("renew the lease: an answer of %d parts", len(answer))
	}
	r := renewal{live: texts(answer[2]), dead: texts(answer[3]), repaired: texts(answer[4]), broken: answer[5] == int64(1)}
	r.epoch, _ = answer[0].(string)
	if r.status, _ = answer[1].(string); r.status == "left" {
		return renewal{}, errLeft
	}
	return r, nil
}

// settle is the time, in ms, within which every live node renews its lease.
func (s *Store) settle() int64 { return (s.timing.Lease + s.timing.Renew).Milliseconds() }

// away is a time in ms. If no node has renewed its lease for that long, the server counts
// as having been unreachable.
func (s *Store) away() int64 { return (2 * s.timing.Renew).Milliseconds() }

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

// markAnnounced records on the server that all users of this node are registered.
func (s *Store) markAnnounced(ctx context.Context, self identity) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.scripts.announced.Run(ctx, s.client, []string{s.keys.nodes()}, self.id, self.epoch).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("report that all users are registered: %w", err)
	}
	return nil
}

// release gives up the lease. Another node sweeps this node's users.
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
		s.log.DebugContext(ctx, "redispresence: could not give up the lease; it will expire", "err", err)
	}
}

// run is runEach, but also fails if any of the calls failed.
func (s *Store) run(ctx context.Context, self identity, script *redis.Script, fill func(redis.Pipeliner)) error {
	calls, err := s.runEach(ctx, self, script, fill)
	for _, call := range calls {
		if err := call.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return err
}

// runEach runs independent calls of one script in one round trip. Each returned call has
// its own reply or error. runEach itself fails if the server lost its data, because then
// the replies mean nothing. It repeats a call if the server lacked the script, or if the
// script removed a broken value.
func (s *Store) runEach(ctx context.Context, self identity, script *redis.Script, fill func(redis.Pipeliner)) ([]redis.Cmder, error) {
	calls, err := s.runOnce(ctx, self, fill)
	if err != nil {
		return nil, err
	}
	var lacking []redis.Cmder // a server of a cluster may lack the script
	for _, call := range calls {
		if redis.HasErrorPrefix(call.Err(), "NOSCRIPT") {
			lacking = append(lacking, call)
		}
	}
	if len(lacking) > 0 {
		if err := script.Load(ctx, s.client).Err(); err != nil {
			return nil, err
		}
		if _, err := s.runOnce(ctx, self, repeat(lacking)); err != nil {
			return nil, err
		}
	}
	return calls, s.retryRepaired(ctx, calls)
}

// runOnce runs calls, and then checks that the server still has its data.
func (s *Store) runOnce(ctx context.Context, self identity, fill func(redis.Pipeliner)) ([]redis.Cmder, error) {
	var epoch *redis.StringCmd
	cmds, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		fill(p)
		epoch = p.HGet(ctx, s.keys.nodes(), "epoch")
		return nil
	})
	if len(cmds) == 0 {
		return nil, err
	}
	if err := epoch.Err(); err != nil && !errors.Is(err, redis.Nil) && !isWrongType(err) {
		return nil, err
	}
	if epoch.Val() != self.epoch {
		s.renewNow()
		return nil, errForgotten
	}
	return cmds[:len(cmds)-1], nil
}

// repeat fills a pipeline with calls that failed.
func repeat(calls []redis.Cmder) func(redis.Pipeliner) {
	return func(p redis.Pipeliner) {
		for _, call := range calls {
			_ = p.Process(context.Background(), call) // fails only when the pipeline runs
		}
	}
}

// flag encodes a boolean for the scripts.
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

// timeOf parses a time in ms. It returns the zero time for any other text. The server may
// hold values of other programs, and JSON cannot encode a year after 9999.
func timeOf(ms string) time.Time {
	n, _ := strconv.ParseFloat(ms, 64)
	return timeOfScore(n)
}

// timeOfScore is timeOf for the score of a sorted set.
func timeOfScore(ms float64) time.Time {
	const end = 253402300800000 // the year 10000
	if ms > 0 && ms < end {
		return time.UnixMilli(int64(ms)).UTC()
	}
	return time.Time{}
}
