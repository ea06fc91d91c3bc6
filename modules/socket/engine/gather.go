package engine

import (
	"sync"
	"time"
)

// gatherer ends the windows of all connections: one timer for those whose
// windows began within a window of each other.
type gatherer struct {
	window time.Duration

	mu      sync.Mutex
	timer   *time.Timer // nil before the first window
	waiting []*Conn     // the timer is armed while there are any
	spare   []*Conn     // memory for the next ones
}

// add makes c hear of its window's end: within a window from now.
func (g *gatherer) add(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, c)
	switch {
	case len(g.waiting) > 1:
	case g.timer == nil:
		g.timer = time.AfterFunc(g.window, g.tick)
	default:
		g.timer.Reset(g.window)
	}
}

// tick runs in the timer's goroutine. Where writing takes longer than a window
// the next tick runs beside it.
func (g *gatherer) tick() {
	g.mu.Lock()
	conns := g.waiting
	g.waiting, g.spare = g.spare, nil
	g.mu.Unlock()
	InTurns(conns, (*Conn).gathered)
	clear(conns)
	g.mu.Lock()
	g.spare = conns[:0]
	g.mu.Unlock()
}
