package redisadapter

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	maxLanes  = 8
	laneQueue = 256 // envelopes in a lane; if it is full, the connection's reader waits

	// quick is the delivery time up to which the connection's reader makes the next
	// delivery itself. For such short deliveries, waking a goroutine costs more.
	quick = 200 * time.Microsecond
)

// lanes deliver envelopes to the sink: those of one room in order, those of different rooms
// in parallel. The sink writes to every socket of a room, which could be too much for one
// goroutine.
type lanes struct {
	ended    <-chan struct{} // closed when no more envelopes are delivered
	sink     func(adapter.Envelope)
	counters *counters
	seed     maphash.Seed
	lanes    []lane
}

type lane struct {
	mu    sync.Mutex // held from the acceptance of an envelope until it is queued or delivered
	queue chan adapter.Envelope

	waiting atomic.Int32 // envelopes that are queued or being delivered
	slow    atomic.Bool  // the last delivery took longer than quick
}

func (l *lane) deliver(env adapter.Envelope, sink func(adapter.Envelope)) {
	began := time.Now()
	sink(env)
	l.slow.Store(time.Since(began) > quick)
}

func newLanes(c *counters, sink func(adapter.Envelope)) *lanes {
	n := min(runtime.GOMAXPROCS(0), maxLanes)
	l := &lanes{sink: sink, counters: c, seed: maphash.MakeSeed(), lanes: make([]lane, n)}
	for i := range l.lanes {
		l.lanes[i].queue = make(chan adapter.Envelope, laneQueue)
	}
	return l
}

// run delivers until the tasks are stopped.
func (l *lanes) run(t *tasks.Group) {
	l.ended = t.Context().Done()
	for i := range l.lanes {
		t.Run(func(ctx context.Context) { l.lanes[i].run(ctx, l.sink) })
	}
}

func (l *lane) run(ctx context.Context, sink func(adapter.Envelope)) {
	for {
		select {
		case <-ctx.Done():
			return
		case env := <-l.queue:
			l.deliver(env, sink)
			l.waiting.Add(-1)
		}
	}
}

// deliver delivers env if it is accepted. It waits while the room's lane is full.
func (l *lanes) deliver(env adapter.Envelope, h header, by *interests) {
	lane := &l.lanes[maphash.String(l.seed, env.Room)%uint64(len(l.lanes))]
	lane.mu.Lock()
	defer lane.mu.Unlock()
	if !by.accept(env.Room, h) {
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
