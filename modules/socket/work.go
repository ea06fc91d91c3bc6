package socket

import (
	"context"
	"sync"
)

// work owns the goroutines that handle messages: it starts and awaits them.
type work struct {
	ctx    context.Context //nolint:containedctx // lives exactly as long as its goroutines
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	stopped bool
}

func newWork() *work {
	ctx, cancel := context.WithCancel(context.Background())
	return &work{ctx: ctx, cancel: cancel}
}

// run starts fn in a goroutine. Once the work was stopped it does nothing and
// reports false.
func (w *work) run(fn func(context.Context)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.wg.Go(func() { fn(w.ctx) })
	return true
}

// stop refuses more work and waits for what is under way; when ctx ends first,
// it ends the work's context and returns.
func (w *work) stop(ctx context.Context) error {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	defer w.cancel()
	done := make(chan struct{})
	go func() {
		w.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
