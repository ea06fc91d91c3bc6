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
	ended  <-chan struct{} // they deliver until it is closed
	sink   func(adapter.Envelope)
	accept func(room string, h header) bool
	seed   maphash.Seed
	lanes  []lane
	done   sync.WaitGroup
}

type lane struct {
	mu    sync.Mutex            // whoever accepts an envelope hands it over before another does
	queue chan adapter.Envelope // nil: there is one processor
}

// startLanes begins to deliver until ctx ends.
func startLanes(ctx context.Context, accept func(room string, h header) bool, sink func(adapter.Envelope)) *lanes {
	n := min(runtime.GOMAXPROCS(0), maxLanes)
	l := &lanes{ended: ctx.Done(), sink: sink, accept: accept, seed: maphash.MakeSeed(), lanes: make([]lane, n)}
	if n == 1 {
		return l
	}
	for i := range l.lanes {
		queue := make(chan adapter.Envelope, laneQueue)
		l.lanes[i].queue = queue
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

// deliver hands env over if it is to be delivered, and reports that. It waits
// while the room's lane is full.
func (l *lanes) deliver(env adapter.Envelope, h header) bool {
	lane := &l.lanes[maphash.String(l.seed, env.Room)%uint64(len(l.lanes))]
	lane.mu.Lock()
	defer lane.mu.Unlock()
	if !l.accept(env.Room, h) {
		return false
	}
	if lane.queue == nil {
		l.sink(env)
		return true
	}
	select {
	case lane.queue <- env:
	case <-l.ended:
	}
	return true
}

// wait returns once no call to the sink is running or will run.
func (l *lanes) wait() { l.done.Wait() }
