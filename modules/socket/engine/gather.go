package engine

import (
	"runtime"
	"sync"
	"time"
)

// gatherer ends the gathering windows of all connections. Windows that begin
// within one window of each other share a timer.
type gatherer struct {
	window time.Duration

	mu      sync.Mutex
	timer   *time.Timer // nil before the first window
	waiting []*Conn     // the timer runs while there are any
	spare   []*Conn     // an empty slice to reuse for waiting
}

// add arranges that c.windowEnded is called within a window from now.
func (g *gatherer) add(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, c)
	switch {
	case len(g.waiting) > 1:
	case g.timer == nil:
		g.timer = time.AfterFunc(g.window, g.fire)
	default:
		g.timer.Reset(g.window)
	}
}

// fire runs in the timer's goroutine. If writing takes longer than a window, two calls may
// overlap.
func (g *gatherer) fire() {
	g.mu.Lock()
	conns := g.waiting
	g.waiting, g.spare = g.spare, nil
	g.mu.Unlock()
	ForEach(conns, (*Conn).windowEnded)
	clear(conns)
	g.mu.Lock()
	g.spare = conns[:0]
	g.mu.Unlock()
}

// YieldAfter is the number of connections that a goroutine writes to before it yields,
// which takes some hundred microseconds. Otherwise, other goroutines could wait for 10 ms
// until the scheduler preempts the loop.
const YieldAfter = 64

// ForEach calls write for each item and yields to other goroutines after every
// [YieldAfter] calls.
func ForEach[T any](items []T, write func(T)) {
	for i, item := range items {
		if i > 0 && i%YieldAfter == 0 {
			runtime.Gosched()
		}
		write(item)
	}
}
