package socket

import "context"

// After makes fn run once the answer to the message that is being handled is
// on its way to the client, whatever the answer is; in an OnConnect handler,
// once the client was told that it is connected or refused. ctx is the
// handler's or derived from it; with any other fn runs at once. Call it from the
// handler's goroutine.
func After(ctx context.Context, fn func()) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.after = append(c.after, fn)
		return
	}
	fn()
}

// call is one message, or the beginning of a socket, while it is handled.
type call struct{ after []func() }

type callKey struct{}

// within runs fn and done, and then what fn left to be done after done.
func (g *Gateway) within(ctx context.Context, fn func(ctx context.Context), done func()) {
	var c call
	fn(context.WithValue(ctx, callKey{}, &c))
	done()
	for _, after := range c.after {
		_ = g.isolated(func() error {
			after()
			return nil
		}, "handler", "after")
	}
}
