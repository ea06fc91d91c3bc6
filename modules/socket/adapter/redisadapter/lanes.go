package redisadapter

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	maxLanes  = 8
	laneQueue = 256 // envelopes that wait in a lane before the connection waits

	// quick is how long a lane's last delivery may have taken for the next one
	// to be made by the connection's reader: waking a goroutine for it would
	// cost more than the reader is held up.
	quick = 200 * time.Microsecond
)

// lanes hands envelopes to the sink, one room's in their order and different
// rooms' on different processors: the sink writes to every socket of a room,
// and one goroutine for that would bound a node to one processor.
type lanes struct {
	ended    <-chan struct{} // they deliver until it is closed
	sink     func(adapter.Envelope)
	accept   func(room string, h header) bool
	counters *counters
	seed     maphash.Seed
	lanes    []lane
	done     sync.WaitGroup
}

type lane struct {
	mu    sync.Mutex // whoever accepts an envelope hands it over before another does
	queue chan adapter.Envelope

	waiting atomic.Int32 // envelopes in the queue, or taken from it and not delivered yet
	slow    atomic.Bool  // the last delivery was not quick
}

func (l *lane) deliver(env adapter.Envelope, sink func(adapter.Envelope)) {
	began := time.Now()
	sink(env)
	l.slow.Store(time.Since(began) > quick)
}

// startLanes begins to deliver until ctx ends.
func startLanes(ctx context.Context, accept func(room string, h header) bool, c *counters, sink func(adapter.Envelope)) *lanes {
	n := min(runtime.GOMAXPROCS(0), maxLanes)
	l := &lanes{ended: ctx.Done(), sink: sink, accept: accept, counters: c, seed: maphash.MakeSeed(), lanes: make([]lane, n)}
	for i := range l.lanes {
		lane := &l.lanes[i]
		lane.queue = make(chan adapter.Envelope, laneQueue)
		l.done.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case env := <-lane.queue:
					lane.deliver(env, sink)
					lane.waiting.Add(-1)
				}
			}
		})
	}
	return l
}

// deliver hands env over if it is to be delivered. It waits while the room's
// lane is full.
func (l *lanes) deliver(env adapter.Envelope, h header) {
	lane := &l.lanes[maphash.String(l.seed, env.Room)%uint64(len(l.lanes))]
	lane.mu.Lock()
	defer lane.mu.Unlock()
	if !l.accept(env.Room, h) {
		l.counters.dropped.Add(1)
		return
	}
	l.counters.received.Add(1)
	if lane.waiting.Load() == 0 && !lane.slow.Load() {
		lane.deliver(env, l.sink)
		return
	}
	lane.waiting.Add(1)
	select {
	case lane.queue <- env:
	case <-l.ended:
	}
}

// wait returns once no call to the sink is running or will run.
func (l *lanes) wait() { l.done.Wait() }
