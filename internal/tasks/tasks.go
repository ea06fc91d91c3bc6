// Package tasks owns goroutines: it starts them, ends them and waits for them.
package tasks

import (
	"context"
	"sync"
)

// maxIdle is how many goroutines of a group wait for more to do. Their stacks
// have grown already, which is much of what a short function costs in a
// goroutine of its own.
const maxIdle = 64

// Group is a set of goroutines with one owner. Make it with [New], and stop it.
// Its methods may be called concurrently.
type Group struct {
	ctx        context.Context //nolint:containedctx // lives exactly as long as its goroutines
	cancel     context.CancelFunc
	goroutines sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	idle    []chan func(context.Context) // where who waits gets the next; the last is the first to get one: its stack is in the cache
}

// New returns a group without goroutines.
func New() *Group {
	ctx, cancel := context.WithCancel(context.Background())
	return &Group{ctx: ctx, cancel: cancel}
}

// Context ends when the group's goroutines are to end.
func (g *Group) Context() context.Context { return g.ctx }

// Run starts fn in a goroutine; fn returns when its context ends. Run reports
// false, and starts nothing, once the group is stopping.
func (g *Group) Run(fn func(context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	if last := len(g.idle) - 1; last >= 0 {
		g.idle[last] <- fn
		g.idle = g.idle[:last]
	} else {
		g.goroutines.Go(func() { g.work(fn) })
	}
	return true
}

// work runs fn and what comes after it.
func (g *Group) work(fn func(context.Context)) {
	next := make(chan func(context.Context), 1)
	for more := true; more; fn, more = <-next {
		fn(g.ctx)
		if !g.wait(next) {
			return
		}
	}
}

// wait notes where a goroutine waits for more, and reports whether it is to.
func (g *Group) wait(next chan func(context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || len(g.idle) == maxIdle {
		return false
	}
	g.idle = append(g.idle, next)
	return true
}

// Stop ends the goroutines and waits for them until ctx ends.
func (g *Group) Stop(ctx context.Context) error {
	g.refuse()
	g.cancel()
	return g.ended(ctx)
}

// Finish waits, until ctx ends, for the goroutines to come to their own end,
// and ends those that are left.
func (g *Group) Finish(ctx context.Context) error {
	g.refuse()
	defer g.cancel()
	return g.ended(ctx)
}

// refuse lets nothing more start, and those go that wait.
func (g *Group) refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	for _, next := range g.idle {
		close(next)
	}
	g.idle = nil
}

// ended waits for the goroutines until ctx ends.
func (g *Group) ended(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		g.goroutines.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
