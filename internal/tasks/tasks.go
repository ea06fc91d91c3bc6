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
	functions  sync.WaitGroup
	goroutines sync.WaitGroup
	next       chan func(context.Context) // for a goroutine that waits
	over       chan struct{}              // closed when the last function has returned
	end        sync.Once

	mu      sync.Mutex
	stopped bool
	idle    int // goroutines that wait and have not been promised a function
}

// New returns a group without goroutines.
func New() *Group {
	ctx, cancel := context.WithCancel(context.Background())
	return &Group{ctx: ctx, cancel: cancel, next: make(chan func(context.Context), maxIdle), over: make(chan struct{})}
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
	g.functions.Add(1)
	if g.idle > 0 {
		g.idle--
		g.next <- fn // a goroutine waits for it, or is about to
	} else {
		g.goroutines.Go(func() { g.work(fn) })
	}
	return true
}

// work runs fn and what comes after it.
func (g *Group) work(fn func(context.Context)) {
	for {
		fn(g.ctx)
		if !g.rest() {
			return
		}
		select {
		case fn = <-g.next:
		case <-g.over:
			return
		}
	}
}

// rest ends a function and reports whether its goroutine is to wait for more.
func (g *Group) rest() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.functions.Done()
	if g.stopped || g.idle == maxIdle {
		return false
	}
	g.idle++
	return true
}

// Stop ends the goroutines and waits for them until ctx ends.
func (g *Group) Stop(ctx context.Context) error {
	g.refuse()
	g.cancel()
	return g.wait(ctx)
}

// Finish waits, until ctx ends, for the goroutines to come to their own end,
// and ends those that are left.
func (g *Group) Finish(ctx context.Context) error {
	g.refuse()
	defer g.cancel()
	return g.wait(ctx)
}

func (g *Group) refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
}

func (g *Group) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		g.functions.Wait()
		g.end.Do(func() { close(g.over) })
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
