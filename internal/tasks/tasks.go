// Package tasks owns goroutines: it starts them, ends them and waits for them.
package tasks

import (
	"context"
	"sync"
)

// Group is a set of goroutines with one owner. Make it with [New], and stop it.
// Its methods may be called concurrently.
type Group struct {
	ctx        context.Context //nolint:containedctx // lives exactly as long as its goroutines
	cancel     context.CancelFunc
	goroutines sync.WaitGroup

	mu      sync.Mutex
	stopped bool
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
	g.goroutines.Go(func() { fn(g.ctx) })
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

// refuse makes Run start nothing more.
func (g *Group) refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
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
