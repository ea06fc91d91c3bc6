package limit

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// gauges count the current items of each key.
type gauges struct {
	mu     sync.Mutex
	cap    Cap
	counts map[string]int
}

func newGauges(c Cap) *gauges { return &gauges{cap: c, counts: map[string]int{}} }

// set changes the maximum. Existing items stay.
func (g *gauges) set(c Cap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cap = c
}

// add counts one more item. It returns false if the maximum is reached.
func (g *gauges) add(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cap.Exceeded(g.counts[key] + 1) {
		return false
	}
	g.counts[key]++
	return true
}

func (g *gauges) remove(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.counts[key]--; g.counts[key] == 0 {
		delete(g.counts, key)
	}
}

func (g *gauges) count(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[key]
}

// turns let a limited number of requests of each key run at the same time. Others wait.
type turns struct {
	waiting time.Duration

	mu   sync.Mutex
	cap  Cap
	keys map[string]*turn
}

type turn struct {
	running *semaphore.Weighted
	users   int // number of requests that run or wait
}

func newTurns(c Cap, waiting time.Duration) *turns {
	return &turns{cap: c, waiting: waiting, keys: map[string]*turn{}}
}

// set changes how many requests run at the same time. Requests that are running already do
// not count.
func (t *turns) set(c Cap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cap != c {
		t.cap, t.keys = c, map[string]*turn{}
	}
}

// take waits for a turn. It returns a function that ends the turn, or nil if ctx ended
// first.
func (t *turns) take(ctx context.Context, key string) (done func()) {
	t.mu.Lock()
	if t.cap < 0 {
		t.mu.Unlock()
		return func() {}
	}
	its := t.keys[key]
	if its == nil {
		its = &turn{running: semaphore.NewWeighted(int64(t.cap))}
		t.keys[key] = its
	}
	its.users++
	t.mu.Unlock()
	done = func() {
		its.running.Release(1)
		t.forget(key, its)
	}
	if its.running.TryAcquire(1) {
		return done
	}
	ctx, cancel := context.WithTimeout(ctx, t.waiting)
	defer cancel()
	if its.running.Acquire(ctx, 1) == nil {
		return done
	}
	t.forget(key, its)
	return nil
}

func (t *turns) forget(key string, its *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if its.users--; its.users == 0 && t.keys[key] == its {
		delete(t.keys, key)
	}
}
