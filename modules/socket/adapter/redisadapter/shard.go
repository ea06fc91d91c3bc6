package redisadapter

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

// shard is a part of the rooms, with a connection that subscribes and a
// goroutine that publishes of its own. On one server there is one shard. On a
// cluster there are some, each the rooms whose channels share a slot: so that
// one connection can subscribe to them all, wherever the slot is, a message
// goes to the one server that has it, and a master that is down or hangs costs
// its own shards only.
type shard struct {
	a         *Adapter
	index     int
	probe     string // this process's own channel
	interests *interests
	publisher *publisher

	missed atomic.Bool // envelopes may have been missed since the last lost
	first  sync.Once
}

func newShard(a *Adapter, index int, client redis.UniversalClient) *shard {
	s := &shard{
		a:         a,
		index:     index,
		probe:     a.keys.probe(string(a.clients.Node()), a.sender, index),
		interests: newInterests(),
	}
	s.publisher = newPublisher(client, a.status.of(s.publishing()))
	s.publisher.key = a.key
	if a.keys.sharded {
		s.publisher.command, s.publisher.pingTo = "spublish", s.probe
	}
	return s
}

func (s *shard) subscribing() direction { return direction(2 * s.index) }
func (s *shard) publishing() direction  { return direction(2*s.index + 1) }

// run connects again and again until ctx ends.
func (s *shard) run(ctx context.Context) {
	var helpers sync.WaitGroup
	helpers.Go(func() { s.publisher.run(ctx) })
	timing := s.a.timing
	pause := timing.backoffMin
	for ctx.Err() == nil {
		session, err := s.connect(ctx)
		if err == nil {
			err = session.run(ctx)
			if session.restored.Load() {
				pause = timing.backoffMin
			}
		}
		if ctx.Err() != nil {
			break
		}
		s.missed.Store(true)
		if errors.Is(err, errProbeMissed) {
			s.a.clients.Reset(redisrole.Socket) // some connection is to a server that others do not use
		}
		s.a.status.set(s.subscribing(), err)
		s.first.Do(s.a.tried.Done)
		select {
		case <-ctx.Done():
		case <-time.After(jitter(pause)):
			pause = min(2*pause, timing.backoffMax)
		}
	}
	helpers.Wait()
	s.first.Do(s.a.tried.Done)
	s.a.status.set(s.subscribing(), errStopped)
	s.a.status.set(s.publishing(), errStopped)
}

// connected runs when a connection has all that is wanted.
func (s *shard) connected() {
	s.a.status.set(s.subscribing(), nil)
	s.first.Do(s.a.tried.Done)
	if s.missed.Swap(false) {
		s.a.counters.reconnects.Add(1)
		s.a.lost()
	}
}
