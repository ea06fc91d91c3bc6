package group

import (
	"context"
	"sync"
)

// tasks owns goroutines: it starts them, ends them and waits for them.
type tasks struct {
	ctx    context.Context //nolint:containedctx // lives exactly as long as its goroutines
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	stopped bool
}

func newTasks() *tasks {
	ctx, cancel := context.WithCancel(context.Background())
	return &tasks{ctx: ctx, cancel: cancel}
}

// run starts fn in a goroutine; fn returns when its context ends. It reports
// false, and does nothing, once the tasks were stopped.
func (t *tasks) run(fn func(context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	t.wg.Go(func() { fn(t.ctx) })
	return true
}

// stop ends the goroutines and waits for them until ctx ends.
func (t *tasks) stop(ctx context.Context) error {
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	t.cancel()
	done := make(chan struct{})
	go func() {
		t.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
