// Package redisadapter carries envelopes between nodes by Redis pub/sub. It
// knows channels, connections and what an outage costs; it knows nothing of
// rooms' members or of what envelopes mean.
//
// A node subscribes to a room's channel only while it is interested, so that
// it pays nothing for the rooms of others. It publishes with the socket role's
// client and subscribes on a connection of its own: with a duplicate of the
// client where that is shared with others, and directly where it is not. On a
// cluster, channels are sharded: see [shard].
package redisadapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// startWait bounds how long Start waits for a server that does not answer.
const startWait = 2 * time.Second

// timing is what tests shorten.
type timing struct {
	probeEvery   time.Duration // between two probes
	probeTimeout time.Duration // after which a silent connection is dead
	probeLate    time.Duration // after which one with traffic is on the wrong server
	backoffMin   time.Duration // before the second attempt to connect
	backoffMax   time.Duration
}

var production = timing{
	probeEvery:   5 * time.Second,
	probeTimeout: 2 * time.Second,
	probeLate:    10 * time.Second,
	backoffMin:   50 * time.Millisecond,
	backoffMax:   time.Second,
}

// Adapter is one node's way to the others. It is safe for concurrent use.
type Adapter struct {
	clients  *redisrole.Clients
	log      *slog.Logger
	sender   uint64
	keys     keys
	key      Key
	timing   timing
	shards   []*shard
	status   *status
	counters counters

	// Set by Start.
	subscriber redis.UniversalClient
	lanes      *lanes
	lost       func()

	mu      sync.Mutex
	stop    context.CancelFunc // nil: not started
	stopped bool
	tried   sync.WaitGroup // the shards' first attempts to connect
	done    chan struct{}  // closed when nothing runs any more
	warned  atomic.Int64
}

var _ adapter.Adapter = (*Adapter)(nil)

// New returns the adapter of the node that clients belongs to. It does no I/O.
// It fails when the socket role does not use Redis.
func New(clients *redisrole.Clients, key Key, log *slog.Logger) (*Adapter, error) {
	client := clients.Client(redisrole.Socket)
	if client == nil {
		return nil, fmt.Errorf("redisadapter: %w", redisrole.ErrNoRedis)
	}
	a := &Adapter{
		clients: clients,
		log:     log,
		sender:  rand.Uint64(),
		keys:    newKeys(clients.Prefix(), clients.Clustered(redisrole.Socket)),
		key:     key,
		timing:  production,
		done:    make(chan struct{}),
	}
	a.status = newStatus(log, clients.Where(redisrole.Socket), a.keys.shards)
	for i := range a.keys.shards {
		a.shards = append(a.shards, newShard(a, i, bounded(client)))
	}
	a.tried.Add(len(a.shards))
	return a, nil
}

// Start implements [adapter.Adapter]. While the server is down it returns
// after two seconds at most.
func (a *Adapter) Start(ctx context.Context, sink func(adapter.Envelope), lost func()) error {
	run, err := a.begin(sink, lost)
	if err != nil {
		return err
	}
	go a.run(run)
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	tried := make(chan struct{})
	go func() {
		defer close(tried)
		a.tried.Wait()
	}()
	select {
	case <-tried:
		return nil
	case <-timer.C:
		return nil
	case <-a.done:
		return errStopped
	case <-ctx.Done():
		return errors.Join(ctx.Err(), a.Stop(context.WithoutCancel(ctx)))
	}
}

func (a *Adapter) begin(sink func(adapter.Envelope), lost func()) (context.Context, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return nil, errStopped
	}
	if a.stop != nil {
		return nil, errors.New("redisadapter: started already")
	}
	a.subscriber = a.clients.Client(redisrole.Socket)
	if !a.clients.Dedicated(redisrole.Socket) {
		duplicate, err := a.clients.Duplicate(redisrole.Socket)
		if err != nil {
			return nil, fmt.Errorf("redisadapter: %w", err)
		}
		a.subscriber = duplicate
	}
	run, stop := context.WithCancel(context.Background())
	a.stop, a.lost = stop, lost
	a.lanes = startLanes(run, sink)
	for _, s := range a.shards {
		a.status.set(s.subscribing(), errConnecting)
		a.status.set(s.publishing(), nil)
	}
	return run, nil
}

// run runs the shards until ctx ends, and cleans up.
func (a *Adapter) run(ctx context.Context) {
	defer close(a.done)
	var shards sync.WaitGroup
	for _, s := range a.shards {
		shards.Go(func() { s.run(ctx) })
	}
	shards.Wait()
	a.lanes.wait()
	if a.subscriber != a.clients.Client(redisrole.Socket) {
		_ = a.subscriber.Close()
	}
}

// shard returns the shard of a room.
func (a *Adapter) shard(room string) *shard { return a.shards[a.keys.shardOf(room)] }

// receive takes a message from a room's channel.
func (a *Adapter) receive(ctx context.Context, msg *redis.Message) {
	room, ok := a.keys.roomOf(msg.Channel)
	if !ok {
		return
	}
	wire, err := a.key.open(msg.Channel, msg.Payload)
	if err != nil {
		a.refuse(&a.counters.forged, room, err)
		return
	}
	h, err := decodeHeader(wire)
	if err == nil && h.sender == a.sender {
		return
	}
	var env adapter.Envelope
	if err == nil {
		env, err = decode(room, wire)
	}
	if err != nil {
		a.refuse(&a.counters.malformed, room, err)
		return
	}
	if !a.shard(room).interests.accept(room, h) {
		a.counters.dropped.Add(1)
		return
	}
	a.counters.received.Add(1)
	a.lanes.deliver(ctx, env)
}

// refuse counts what is not to be delivered and warns of it once a second.
func (a *Adapter) refuse(counter *atomic.Uint64, room string, err error) {
	total := counter.Add(1)
	now, last := time.Now().UnixNano(), a.warned.Load()
	if now-last >= int64(time.Second) && a.warned.CompareAndSwap(last, now) {
		a.log.Warn("redisadapter: dropped what is not an envelope", "room", room, "err", err, "total", total)
	}
}

// Publish implements [adapter.Adapter]. It waits for the server's answer, and
// fails at once while the server does not answer. After ctx ended the envelope
// may still be published.
func (a *Adapter) Publish(ctx context.Context, env adapter.Envelope) error {
	wire, err := encode(a.key.room(), a.sender, env)
	if err == nil {
		err = a.shard(env.Room).publisher.send(ctx, a.keys.room(env.Room), wire, true)
	}
	if err != nil {
		a.counters.failed.Add(1)
		return err
	}
	a.counters.published.Add(1)
	return nil
}

// Subscribe implements [adapter.Adapter].
func (a *Adapter) Subscribe(room string) <-chan struct{} { return a.shard(room).interests.want(room) }

// Unsubscribe implements [adapter.Adapter].
func (a *Adapter) Unsubscribe(room string) { a.shard(room).interests.unwant(room) }

// Health implements [adapter.Adapter]. It asks the server, or one of a cluster.
func (a *Adapter) Health(ctx context.Context) error {
	if err := a.status.any(); err != nil {
		return err
	}
	return a.shards[rand.N(len(a.shards))].publisher.ping(ctx)
}

// Stop implements [adapter.Adapter].
func (a *Adapter) Stop(ctx context.Context) error {
	a.mu.Lock()
	a.stopped = true
	stop := a.stop
	a.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
