package redisadapter

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

// shard is a part of the rooms, with a connection that subscribes and a
// goroutine that publishes of its own. On one server there is one shard. On a
// cluster there are some, each the rooms whose channels share a slot: so that
// one connection can subscribe to them all, wherever the slot is, a message
// goes to the one server that has it, and a master that is down or hangs costs
// its own shards only.
type shard struct {
	*link
	index     int
	probe     string // this process's own channel
	changes   *changes
	publisher *publisher

	missed atomic.Bool   // envelopes may have been missed since the last lost
	synced atomic.Uint64 // the last of the link's syncs that the connection has come to
	first  sync.Once
}

func newShard(l *link, index int) *shard {
	s := &shard{
		link:    l,
		index:   index,
		probe:   l.keys.probe(string(l.clients.Node()), l.a.sender, index),
		changes: l.follower.shards[index],
	}
	command, pingTo := "publish", ""
	if l.keys.sharded {
		command, pingTo = "spublish", s.probe
	}
	s.publisher = newPublisher(command, l.status.of(s.publishing()))
	s.publisher.key, s.publisher.pingTo = l.a.key, pingTo
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
		s.synced.Store(0)
		if ctx.Err() != nil {
			break
		}
		s.missed.Store(true)
		if errors.Is(err, errProbeMissed) {
			s.clients.Reset(redisrole.Socket) // some connection is to a server that others do not use
		}
		s.status.set(s.subscribing(), err)
		s.first.Do(s.tried.Done)
		select {
		case <-ctx.Done():
		case <-time.After(jitter(pause)):
			pause = min(2*pause, timing.backoffMax)
		}
	}
	helpers.Wait()
	s.first.Do(s.tried.Done)
	s.status.set(s.subscribing(), errStopped)
	s.status.set(s.publishing(), errStopped)
}

// connected runs when a connection has all that is wanted.
func (s *shard) connected() {
	s.status.set(s.subscribing(), nil)
	s.first.Do(s.tried.Done)
	if s.missed.Swap(false) {
		s.a.counters.reconnects.Add(1)
		if s.a.way.Load().main == s.link { // all that came over the other came over the main one
			s.a.lost()
		}
	}
}
