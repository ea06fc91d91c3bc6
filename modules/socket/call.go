package socket

import (
	"context"
	"sync"
	"time"
)

// After makes fn run once the answer to the message that is being handled is
// on its way to the client, whatever the answer is; in an OnConnect handler,
// once the client was told that it is connected or refused. ctx is the
// handler's or derived from it; with any other fn runs at once.
func After(ctx context.Context, fn func()) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.after = append(c.after, fn)
		return
	}
	fn()
}

// call is one message, or the beginning of a socket, while it is handled: the
// context of its handlers. It has a timer, and a place among what its parent
// ends, only once somebody waits for it, which most handlers never do.
type call struct {
	parent   context.Context //nolint:containedctx // it is one
	deadline time.Time
	after    []func()

	mu     sync.Mutex
	err    error              // once there is one, it stays
	timed  context.Context    //nolint:containedctx // parent with the deadline, once it is waited for
	cancel context.CancelFunc // timed's
}

var _ context.Context = (*call)(nil)

type callKey struct{}

// call returns ctx if it is a call, or else a new one, with a deadline.
func (g *Gateway) call(ctx context.Context) (*call, context.CancelFunc) {
	if c, ok := ctx.(*call); ok {
		return c, func() {}
	}
	c := &call{parent: ctx, deadline: time.Now().Add(g.handlerTimeout)}
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(c.deadline) {
		c.deadline = earlier
	}
	return c, c.end
}

func (c *call) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cancel != nil:
		c.cancel()
	case c.err == nil:
		c.err = context.Canceled
	}
}

// Deadline implements [context.Context].
func (c *call) Deadline() (time.Time, bool) { return c.deadline, true }

// Done implements [context.Context].
func (c *call) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.parent, c.deadline)
		if c.err != nil {
			c.cancel()
		}
	}
	return c.timed.Done()
}

// Err implements [context.Context].
func (c *call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
	case c.timed != nil:
		c.err = c.timed.Err()
	case c.parent.Err() != nil:
		c.err = c.parent.Err()
	case !time.Now().Before(c.deadline):
		c.err = context.DeadlineExceeded
	}
	return c.err
}

// Value implements [context.Context]. What derives from a call finds timed there,
// after it has asked for Done, and needs no goroutine to wait for it.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed != nil {
		return c.timed.Value(key)
	}
	return c.parent.Value(key)
}
