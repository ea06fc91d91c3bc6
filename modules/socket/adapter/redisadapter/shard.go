package redisadapter

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/redisrole"
)

// shard is a part of the rooms, with its own connection that subscribes and its own
// goroutine that publishes. A single server has one shard; a cluster has several. All
// channels of a shard are in one slot. So one connection can subscribe to them all, a
// message goes to one server only, and a master that is down affects only its shards.
type shard struct {
	*Adapter
	index       int
	probe       string // the channel of this process alone
	changes     *changes
	subscribing *direction
	publisher   *publisher

	missed atomic.Bool   // envelopes may have been missed since the last call of lost
	synced atomic.Uint64 // the last Sync that the connection has completed
	tried  chan struct{} // closed after the first attempt to connect
	first  func()        // closes tried
}

func newShard(a *Adapter, index int) *shard {
	s := &shard{
		Adapter:     a,
		index:       index,
		probe:       a.keys.probe(string(a.clients.Node()), a.sender, index),
		changes:     a.interests.shards[index],
		tried:       make(chan struct{}),
		subscribing: a.status.add(),
	}
	s.first = sync.OnceFunc(func() { close(s.tried) })
	command, pingTo := "publish", ""
	if a.keys.sharded {
		command, pingTo = "spublish", s.probe
	}
	s.publisher = newPublisher(command, a.status.add())
	s.publisher.pingTo = pingTo
	return s
}

// run connects, and reconnects, until ctx ends.
func (s *shard) run(ctx context.Context) {
	var helpers sync.WaitGroup
	helpers.Go(func() { s.publisher.run(ctx) })
	timing := s.timing
	pause := timing.BackoffMin
	for ctx.Err() == nil {
		session, err := s.connect(ctx)
		if err == nil {
			err = session.run(ctx)
			if session.restored.Load() {
				pause = timing.BackoffMin
			}
		}
		s.synced.Store(0)
		if ctx.Err() != nil {
			break
		}
		s.missed.Store(true)
		if errors.Is(err, redisrole.ErrProbeMissed) {
			s.clients.Reset(redisrole.Socket) // a connection goes to a server that other nodes do not use
		}
		s.subscribing.set(err)
		s.first()
		if tasks.Pause(ctx, jitter(pause)) {
			pause = min(2*pause, timing.BackoffMax)
		}
	}
	helpers.Wait()
	s.first()
	s.subscribing.set(errStopped)
	s.publisher.status.set(errStopped)
}

// connected is called once a connection has all its subscriptions.
func (s *shard) connected() {
	s.subscribing.set(nil)
	s.first()
	if s.missed.Swap(false) {
		s.counters.reconnects.Add(1)
		s.lost()
	}
}
