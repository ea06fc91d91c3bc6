// Package tasks starts and stops groups of goroutines: see [Group].
package tasks

import (
	"context"
	"sync"
	"time"
)

// Group is a set of goroutines with one owner, who must stop it. Create it with [New]. It
// is safe for concurrent use.
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

// Context returns the context of the group's goroutines. They must return when it ends.
func (g *Group) Context() context.Context { return g.ctx }

// Run starts fn in a goroutine. fn must return when its context ends. Once the group is
// stopping, Run starts nothing and returns false.
func (g *Group) Run(fn func(context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.goroutines.Go(func() { fn(g.ctx) })
	return true
}

// Stop ends the context of the goroutines and waits for them until ctx ends.
func (g *Group) Stop(ctx context.Context) error {
	g.close()
	g.cancel()
	return g.Finish(ctx)
}

// Finish waits until the goroutines return on their own. If ctx ends first, it ends their
// context and returns ctx's error.
func (g *Group) Finish(ctx context.Context) error {
	g.close()
	defer g.cancel()
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

// close makes Run start no more goroutines.
func (g *Group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
}

// Every calls fn at each interval and whenever poke receives a value, until ctx ends.
func Every(ctx context.Context, interval time.Duration, poke <-chan struct{}, fn func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fn()
		case <-poke:
			fn()
		case <-ctx.Done():
			return
		}
	}
}

// Retry calls fn whenever wake receives a value. While fn fails, it calls fn again after
// each pause. It returns when ctx ends.
func Retry(ctx context.Context, pause time.Duration, wake <-chan struct{}, fn func() error) {
	retry := time.NewTimer(pause)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-retry.C:
		}
		if fn() != nil {
			retry.Reset(pause)
		}
	}
}

// Pause waits for d and returns true, or returns false as soon as ctx ends.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Within returns fn with a timeout, so that it leaves time for what follows.
func Within(d time.Duration, fn func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return fn(ctx)
	}
}
