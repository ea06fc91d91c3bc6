// Package redisadapter carries envelopes between nodes by Redis pub/sub. [Adapter]
// implements [adapter.Adapter]; create one with [New]. The package knows channels,
// connections and outages. It does not know which sockets are in a room or what an envelope
// means.
//
// A node subscribes to a room's channel only while it needs the room's envelopes. It
// publishes with the socket role's client. It subscribes on its own connection: from the
// same client, or from a duplicate if other code shares the client. go-redis handles the
// topology of the server: see [publisher] and [subscription]. On a cluster, channels are
// sharded: see [shard].
//
// An envelope is sent at once. Envelopes that come during a round trip are sent together in
// the next one. A node's envelopes keep the order of its calls.
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

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// startWait is how long Start waits for a server that does not answer.
const startWait = 2 * time.Second

// Timing holds intervals and timeouts. Tests change them.
type Timing struct {
	ProbeEvery   time.Duration // interval of probes
	ProbeTimeout time.Duration // a connection that is silent for so long is dead
	ProbeLate    time.Duration // a connection with traffic whose probe takes so long is on the wrong server
	BackoffMin   time.Duration // before the second attempt to connect
	BackoffMax   time.Duration
	Publish      time.Duration // timeout of a round trip that publishes
}

var production = Timing{
	ProbeEvery:   5 * time.Second,
	ProbeTimeout: 2 * time.Second,
	ProbeLate:    10 * time.Second,
	BackoffMin:   50 * time.Millisecond,
	BackoffMax:   time.Second,
	Publish:      2 * time.Second,
}

// Adapter connects one node with the others over one server. It is safe for concurrent use.
type Adapter struct {
	*node

	clients       *redisrole.Clients
	signingSource SigningSource
	timing        Timing
	keys          keys
	interests     *interests
	shards        []*shard
	status        *status
	syncs         atomic.Uint64 // number of calls of Sync
	tasks         *tasks.Group
	left          func(context.Context) error

	// Set by Begin.
	signing         Signing
	subscriber      redis.UniversalClient
	closeSubscriber func() error
	lost            func()

	mu      sync.Mutex
	started bool
}

var _ adapter.Adapter = (*Adapter)(nil)

// New returns an adapter for the node of clients. It does no I/O. It fails if the socket
// role does not use Redis.
func New(clients *redisrole.Clients, source SigningSource, log *slog.Logger) (*Adapter, error) {
	return newAdapter(newNode(log), clients, source, production)
}

// Beside returns an adapter of the same node over another server. Both share the sequence
// of numbers of the node's envelopes. An envelope that arrives over both servers is
// delivered once, to the sink of the adapter that began first.
func (a *Adapter) Beside(clients *redisrole.Clients) (*Adapter, error) {
	return newAdapter(a.node, clients, a.signingSource, a.timing)
}

func newAdapter(n *node, clients *redisrole.Clients, source SigningSource, timing Timing) (*Adapter, error) {
	if !clients.Uses(redisrole.Socket) {
		return nil, fmt.Errorf("redisadapter: %w", redisrole.ErrNoRedis)
	}
	a := &Adapter{
		node:          n,
		clients:       clients,
		signingSource: source,
		timing:        timing,
		keys:          newKeys(clients.Prefix(), clients.Clustered(redisrole.Socket)),
		status:        &status{log: n.log, where: clients.Where(redisrole.Socket)},
		tasks:         tasks.New(),
		left:          n.join(),
	}
	a.interests = newInterests(a.keys.shards, a.keys.shardOf, &n.marks)
	a.syncs.Store(1)
	for i := range a.keys.shards {
		a.shards = append(a.shards, newShard(a, i))
	}
	return a, nil
}

// SetTiming changes the timing, for tests. Call it before the adapter starts.
func (a *Adapter) SetTiming(t Timing) { a.timing = t }

// Start implements [adapter.Adapter]. If the server is down, Start returns after two
// seconds.
func (a *Adapter) Start(ctx context.Context, sink func(adapter.Envelope), lost func()) error {
	if err := a.Begin(sink, lost); err != nil {
		return err
	}
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	for _, s := range a.shards {
		select {
		case <-s.tried:
		case <-timer.C:
			return nil
		case <-a.tasks.Context().Done():
			return errStopped
		case <-ctx.Done():
			return errors.Join(ctx.Err(), a.Stop(context.WithoutCancel(ctx)))
		}
	}
	return nil
}

// Begin is Start without waiting for the server.
func (a *Adapter) Begin(sink func(adapter.Envelope), lost func()) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.started {
		return errors.New("redisadapter: started already")
	}
	if err := a.readSigning(); err != nil {
		return err
	}
	subscriber, closeSubscriber, err := a.clients.Subscriber(redisrole.Socket)
	if err != nil {
		return fmt.Errorf("redisadapter: %w", err)
	}
	a.subscriber, a.closeSubscriber = subscriber, closeSubscriber
	a.deliverTo(sink)
	a.lost = lost
	publishes := bounded(a.clients.Client(redisrole.Socket), subscriber, a.timing.Publish)
	for _, s := range a.shards {
		s.publisher.client, s.publisher.timeout, s.publisher.key = publishes, a.timing.Publish, a.signing.Key
		s.subscribing.set(errConnecting)
		s.publisher.status.set(nil)
	}
	if !a.tasks.Run(a.run) {
		for _, s := range a.shards {
			s.publisher.status.set(errStopped)
		}
		_ = closeSubscriber()
		return errStopped
	}
	a.started = true
	return nil
}

func (a *Adapter) readSigning() (err error) {
	if a.signingSource == nil {
		return nil
	}
	if a.signing, err = a.signingSource(); err != nil {
		return fmt.Errorf("redisadapter: read the key that signs messages: %w", err)
	}
	return nil
}

// run runs the shards until ctx ends, and cleans up.
func (a *Adapter) run(ctx context.Context) {
	var shards sync.WaitGroup
	for _, s := range a.shards {
		shards.Go(func() { s.run(ctx) })
	}
	shards.Wait()
	_ = a.closeSubscriber()
}

// Subscribe implements [adapter.Adapter].
func (a *Adapter) Subscribe(room string) <-chan struct{} {
	ready := make(chan struct{})
	a.SubscribeThen(room, func() { close(ready) })
	return ready
}

// SubscribeThen is Subscribe with a callback: it calls ready once the room is subscribed
// to, or at once if it already is. ready must not block.
func (a *Adapter) SubscribeThen(room string, ready func()) { a.interests.want(room, ready) }

// Unsubscribe implements [adapter.Adapter].
func (a *Adapter) Unsubscribe(room string) { a.interests.unwant(room) }

// Health implements [adapter.Adapter]. It pings the server, or one server of a cluster.
func (a *Adapter) Health(ctx context.Context) error {
	if err := a.status.any(); err != nil {
		return err
	}
	return a.shards[rand.N(len(a.shards))].publisher.ping(ctx)
}

// Stop implements [adapter.Adapter].
func (a *Adapter) Stop(ctx context.Context) error {
	err := a.tasks.Stop(ctx)
	return errors.Join(err, a.left(ctx))
}

// receive handles a message from a room's channel.
func (a *Adapter) receive(channel, payload string) {
	if a.isOwn(payload) {
		return
	}
	room, ok := a.keys.roomOf(channel)
	if !ok {
		return
	}
	wire, err := a.signing.open(channel, payload)
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
	a.lanes.deliver(env, h, a.interests)
}
