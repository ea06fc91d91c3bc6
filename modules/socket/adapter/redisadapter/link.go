package redisadapter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

// syncEvery is how often it is looked whether connections follow.
const syncEvery = 5 * time.Millisecond

// ErrBehind says that a server answers, and that not all is subscribed to there
// yet which is wanted.
var ErrBehind = errors.New("redisadapter: not all rooms are subscribed to yet")

// link is the way over one server: there is one, and while the role moves there
// are two.
type link struct {
	a        *Adapter
	clients  *redisrole.Clients
	keys     keys
	shards   []*shard
	status   *status
	follower *follower
	syncs    atomic.Uint64 // how often it was asked whether the connections follow

	// Set by start.
	subscriber redis.UniversalClient
	stop       context.CancelFunc
	tried      sync.WaitGroup // the shards' first attempts to connect
	done       chan struct{}  // closed when nothing runs any more
}

// newLink returns the link over the server of clients. It does no I/O.
func (a *Adapter) newLink(clients *redisrole.Clients) (*link, error) {
	if !clients.Uses(redisrole.Socket) {
		return nil, fmt.Errorf("redisadapter: %w", redisrole.ErrNoRedis)
	}
	l := &link{a: a, clients: clients, keys: newKeys(clients.Prefix(), clients.Clustered(redisrole.Socket)), done: make(chan struct{})}
	l.follower = a.interests.follow(l.keys.shards, l.keys.shardOf)
	if l.follower == nil {
		return nil, errors.New("redisadapter: there are two servers already")
	}
	l.status = newStatus(a.log, clients.Where(redisrole.Socket), l.keys.shards)
	l.syncs.Store(1)
	for i := range l.keys.shards {
		l.shards = append(l.shards, newShard(l, i))
	}
	l.tried.Add(len(l.shards))
	return l, nil
}

// start begins to connect, until the link is closed.
func (l *link) start() error {
	client := l.clients.Client(redisrole.Socket)
	l.subscriber = client
	if !l.clients.Dedicated(redisrole.Socket) {
		duplicate, err := l.clients.Duplicate(redisrole.Socket)
		if err != nil {
			return fmt.Errorf("redisadapter: %w", err)
		}
		l.subscriber = duplicate
	}
	publishes := bounded(client, l.subscriber)
	for _, s := range l.shards {
		s.publisher.client = publishes
		l.status.set(s.subscribing(), errConnecting)
		l.status.set(s.publishing(), nil)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.run(ctx)
	return nil
}

// run runs the shards until ctx ends, and cleans up.
func (l *link) run(ctx context.Context) {
	defer close(l.done)
	var shards sync.WaitGroup
	for _, s := range l.shards {
		shards.Go(func() { s.run(ctx) })
	}
	shards.Wait()
	if l.subscriber != l.clients.Client(redisrole.Socket) {
		_ = l.subscriber.Close()
	}
}

// close ends what start began and returns when nothing runs any more.
func (l *link) close(ctx context.Context) error {
	if l.stop == nil {
		return nil
	}
	l.stop()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shard returns the shard of a room.
func (l *link) shard(room string) *shard { return l.shards[l.keys.shardOf(room)] }

// sync returns when all that was wanted when it was called is subscribed to on
// every connection, and the servers take messages.
func (l *link) sync(ctx context.Context) error {
	n := l.syncs.Add(1)
	for _, s := range l.shards {
		s.changes.notify()
	}
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for !l.inStep(n) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := l.status.any(); err != nil {
				return err
			}
			return fmt.Errorf("%w on %s: %w", ErrBehind, l.status.where, ctx.Err())
		}
	}
	for _, s := range l.shards {
		if err := s.publisher.ping(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) inStep(n uint64) bool {
	for _, s := range l.shards {
		if s.synced.Load() < n {
			return false
		}
	}
	return l.status.any() == nil
}

// health asks the server, or one of a cluster, for a sign of life.
func (l *link) health(ctx context.Context) error {
	if err := l.status.any(); err != nil {
		return err
	}
	return l.shards[rand.N(len(l.shards))].publisher.ping(ctx)
}

// receive takes a message from a room's channel.
func (l *link) receive(channel, payload string) {
	a := l.a
	if a.isOwn(payload) {
		return
	}
	room, ok := l.keys.roomOf(channel)
	if !ok {
		return
	}
	wire, err := a.key.open(channel, payload)
	if err != nil {
		a.refuse(&a.counters.forged, room, err)
		return
	}
	h, err := decodeHeader(wire)
	if err != nil {
		a.refuse(&a.counters.malformed, room, err)
		return
	}
	env, err := decode(room, wire)
	if err != nil {
		a.refuse(&a.counters.malformed, room, err)
		return
	}
	a.lanes.deliver(env, h)
}

// isOwn reports whether a message looks like one that this adapter published. It
// checks no signature: a forged message that names this adapter as its sender is
// dropped too.
func (a *Adapter) isOwn(message string) bool {
	if len(message) >= sealSize && message[0] == signedVersion {
		message = message[sealSize:]
	}
	h, err := decodeHeader(message)
	return err == nil && h.sender == a.sender
}
