package redisadapter

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"

	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	maxLanes  = 8
	laneQueue = 256 // envelopes that wait in a lane before the connection waits
)

// lanes hands envelopes to the sink, one room's in their order and different
// rooms' on different processors: the sink writes to every socket of a room,
// and one goroutine for that would bound a node to one processor.
type lanes struct {
	sink   func(adapter.Envelope)
	seed   maphash.Seed
	queues []chan adapter.Envelope // none: there is one processor
	done   sync.WaitGroup
}

// startLanes begins to deliver until ctx ends.
func startLanes(ctx context.Context, sink func(adapter.Envelope)) *lanes {
	l := &lanes{sink: sink, seed: maphash.MakeSeed()}
	n := min(runtime.GOMAXPROCS(0), maxLanes)
	if n == 1 {
		return l
	}
	for range n {
		queue := make(chan adapter.Envelope, laneQueue)
		l.queues = append(l.queues, queue)
		l.done.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case env := <-queue:
					sink(env)
				}
			}
		})
	}
	return l
}

// deliver hands env over. It waits while the room's lane is full.
func (l *lanes) deliver(ctx context.Context, env adapter.Envelope) {
	if l.queues == nil {
		l.sink(env)
		return
	}
	queue := l.queues[maphash.String(l.seed, env.Room)%uint64(len(l.queues))]
	select {
	case queue <- env:
	case <-ctx.Done():
	}
}

// wait returns once no call to the sink is running or will run.
func (l *lanes) wait() { l.done.Wait() }
