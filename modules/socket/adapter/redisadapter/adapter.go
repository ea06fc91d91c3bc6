// Package redisadapter carries envelopes between nodes by Redis pub/sub. It
// knows channels, connections and what an outage costs; it knows nothing of
// rooms' members or of what envelopes mean.
//
// A node subscribes to a room's channel only while it is interested, so it pays
// nothing for other nodes' rooms. It publishes with the socket role's client and
// subscribes on a connection of its own: from a duplicate of the client if others
// share it, and from the client itself if not. go-redis speaks to the server in
// every topology: see [publisher] and [subscription].
//
// On a cluster, channels are sharded: see [shard]. While the role moves, all of
// this exists twice, for two servers: see [link] and [Route].
//
// An envelope goes to the server at once. Those that come during a round trip go
// together in the next one. A node's envelopes keep the order of its calls.
package redisadapter

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	log       *slog.Logger
	sender    uint64
	key       Key
	timing    timing
	interests *interests
	counters  counters
	warned    atomic.Int64

	entering sync.Mutex // held by Start and Take

	order  sync.Mutex // envelopes are numbered and queued under it
	number uint64     // of the last envelope
	way    atomic.Pointer[way]

	// Set by Start.
	lanes *lanes
	lost  func()

	mu      sync.Mutex
	links   []*link
	cancel  context.CancelFunc // of the lanes; nil: not started
	stopped bool
	done    chan struct{} // closed when nothing runs any more
}

var _ adapter.Adapter = (*Adapter)(nil)

// New returns the adapter of the node that clients belongs to. It does no I/O.
// It fails when the socket role does not use Redis.
func New(clients *redisrole.Clients, key Key, log *slog.Logger) (*Adapter, error) {
	a := &Adapter{
		log:       log,
		sender:    rand.Uint64(),
		key:       key,
		timing:    production,
		interests: newInterests(),
		lost:      func() {},
		done:      make(chan struct{}),
	}
	own, err := a.newLink(clients)
	if err != nil {
		return nil, err
	}
	a.links = []*link{own}
	a.way.Store(&way{main: own})
	return a, nil
}

// Start implements [adapter.Adapter]. While the server is down it returns
// after two seconds at most.
func (a *Adapter) Start(ctx context.Context, sink func(adapter.Envelope), lost func()) error {
	links, err := a.begin(sink, lost)
	if err != nil {
		return err
	}
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	tried := make(chan struct{})
	go func() {
		defer close(tried)
		for _, l := range links {
			l.tried.Wait()
		}
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

func (a *Adapter) begin(sink func(adapter.Envelope), lost func()) ([]*link, error) {
	a.entering.Lock()
	defer a.entering.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return nil, errStopped
	}
	if a.cancel != nil {
		return nil, errors.New("redisadapter: started already")
	}
	run, cancel := context.WithCancel(context.Background())
	a.lost = lost
	a.lanes = startLanes(run, a.interests.accept, &a.counters, sink)
	for i, l := range a.links {
		if err := l.start(); err != nil {
			cancel()
			for _, started := range a.links[:i] {
				_ = started.close(context.Background())
			}
			return nil, err
		}
	}
	a.cancel = cancel
	return slices.Clone(a.links), nil
}

// refuse counts what is not to be delivered and warns of it once a second.
func (a *Adapter) refuse(counter *atomic.Uint64, room string, err error) {
	total := counter.Add(1)
	now, last := time.Now().UnixNano(), a.warned.Load()
	if now-last >= int64(time.Second) && a.warned.CompareAndSwap(last, now) {
		a.log.Warn("redisadapter: dropped what is not an envelope", "room", room, "err", err, "total", total)
	}
}

// Subscribe implements [adapter.Adapter].
func (a *Adapter) Subscribe(room string) <-chan struct{} { return a.interests.want(room) }

// Unsubscribe implements [adapter.Adapter].
func (a *Adapter) Unsubscribe(room string) { a.interests.unwant(room) }

// Health implements [adapter.Adapter]. It asks the server in force, or one of a
// cluster.
func (a *Adapter) Health(ctx context.Context) error { return a.way.Load().main.health(ctx) }

// Stop implements [adapter.Adapter].
func (a *Adapter) Stop(ctx context.Context) error {
	a.mu.Lock()
	first := !a.stopped
	a.stopped = true
	if a.cancel == nil {
		a.mu.Unlock()
		return nil
	}
	if first {
		a.cancel()
		links := slices.Clone(a.links)
		for _, l := range links {
			l.stop()
		}
		go func() {
			defer close(a.done)
			for _, l := range links {
				<-l.done
			}
			a.lanes.wait()
		}()
	}
	a.mu.Unlock()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
