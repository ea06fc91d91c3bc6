// Package redispresence keeps presence in the group role's Redis: who has a
// subscribed socket, on which node, under a lease that every node renews and
// any node may enforce.
package redispresence

import (
	"context"
	_ "embed"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	defaultLease = 10 * time.Second
	defaultRenew = 3 * time.Second

	// timeToLive bounds how long a key outlives its last change, so that
	// nothing is kept for ever; reannounce keeps what is still true.
	timeToLive = 3 * time.Hour
	reannounce = time.Hour

	// batch is how many commands one pipeline holds.
	batch = 500
)

var (
	//go:embed renew.lua
	renewSource string
	//go:embed live.lua
	liveSource string
	//go:embed set.lua
	setSource string
)

// Store is the presence of one node's sockets among those of all nodes on the
// same Redis and prefix. Its errors are fault.ErrUnavailable.
type Store struct {
	client redis.UniversalClient
	keys   keys
	node   string
	log    *slog.Logger

	lease, renewEvery time.Duration
	renew, live, set  *redis.Script
	gone              func(groupID string, users []string)
	cancel            context.CancelFunc
	done              chan struct{}
	announced         time.Time // for the renewing goroutine only

	mu   sync.Mutex
	here map[string]map[string]struct{} // this node's users, by group
}

var _ group.PresenceStore = (*Store)(nil)

// New returns a store on the group role's client. It does no I/O.
func New(clients *redisrole.Clients, log *slog.Logger) *Store {
	return &Store{
		client:     clients.Client(redisrole.Group),
		keys:       keys{prefix: clients.Prefix()},
		node:       string(clients.Node()),
		log:        log,
		lease:      defaultLease,
		renewEvery: defaultRenew,
		renew:      redis.NewScript(renewSource),
		live:       redis.NewScript(liveSource),
		set:        redis.NewScript(setSource),
		here:       make(map[string]map[string]struct{}),
	}
}

// Start implements [group.PresenceStore]. A server that is down is no error:
// the store claims what is true as soon as it is back.
func (s *Store) Start(_ context.Context, gone func(groupID string, users []string)) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.gone, s.cancel, s.done = gone, cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		s.keepLease(ctx)
	}()
	return nil
}

// Stop implements [group.PresenceStore].
func (s *Store) Stop(ctx context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	select {
	case <-s.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.cancel = nil
	s.mu.Lock()
	var left []group.Attendance
	for groupID, users := range s.here {
		for userID := range users {
			left = append(left, group.Attendance{GroupID: groupID, UserID: userID})
		}
	}
	s.mu.Unlock()
	if _, err := s.Apply(ctx, left); err != nil {
		s.log.Debug("redispresence: this node's claims run out by themselves", "err", err)
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, s.keys.nodes(), s.node)
		p.Del(ctx, s.keys.node(s.node))
		return nil
	})
	if err != nil {
		s.log.Debug("redispresence: this node's lease runs out by itself", "err", err)
	}
	return nil
}

// Apply implements [group.PresenceStore].
func (s *Store) Apply(ctx context.Context, changes []group.Attendance) ([]bool, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	s.remember(changes)
	told, err := s.write(ctx, s.node, changes)
	if err != nil {
		return nil, fault.ErrUnavailable.WithCause(err)
	}
	return told, nil
}

// remember keeps what is true on this node, to claim it again when the server
// forgets it.
func (s *Store) remember(changes []group.Attendance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		users := s.here[c.GroupID]
		switch {
		case c.Here && users == nil:
			s.here[c.GroupID] = map[string]struct{}{c.UserID: {}}
		case c.Here:
			users[c.UserID] = struct{}{}
		default:
			delete(users, c.UserID)
			if len(users) == 0 {
				delete(s.here, c.GroupID)
			}
		}
	}
}

// write stores changes in the name of a node and says of each whether it was
// the first or the last of its user.
func (s *Store) write(ctx context.Context, node string, changes []group.Attendance) ([]bool, error) {
	live, err := s.liveNodes(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.set.Load(ctx, s.client).Err(); err != nil {
		return nil, err
	}
	told := make([]bool, 0, len(changes))
	for len(changes) > 0 {
		part := changes[:min(batch, len(changes))]
		changes = changes[len(part):]
		results := make([]*redis.Cmd, len(part))
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, c := range part {
				args := []any{c.UserID, node, 0, int(timeToLive.Seconds())}
				if c.Here {
					args[2] = 1
					p.SAdd(ctx, s.keys.node(node), c.GroupID)
				}
				for _, id := range live {
					args = append(args, id)
				}
				results[i] = s.set.EvalSha(ctx, p, []string{s.keys.group(c.GroupID)}, args...)
			}
			p.Expire(ctx, s.keys.node(node), timeToLive)
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, r := range results {
			n, err := r.Int()
			if err != nil {
				return nil, err
			}
			told = append(told, n == 1)
		}
	}
	return told, nil
}

func (s *Store) liveNodes(ctx context.Context) ([]string, error) {
	return s.live.Run(ctx, s.client, []string{s.keys.nodes()}).StringSlice()
}

// List implements [group.PresenceStore].
func (s *Store) List(ctx context.Context, groupID string) ([]string, error) {
	live, err := s.liveNodes(ctx)
	if err != nil {
		return nil, fault.ErrUnavailable.WithCause(err)
	}
	users, err := s.client.HGetAll(ctx, s.keys.group(groupID)).Result()
	if err != nil {
		return nil, fault.ErrUnavailable.WithCause(err)
	}
	alive := make(map[string]bool, len(live))
	for _, id := range live {
		alive[id] = true
	}
	there := make([]string, 0, len(users))
	for userID, nodes := range users {
		for id := range strings.FieldsSeq(nodes) {
			if alive[id] {
				there = append(there, userID)
				break
			}
		}
	}
	return there, nil
}
