package limit

import "context"

type settleKey struct{}

// WithSettle returns the context of a network connection that counts for
// [Limits.Pending]. settle is called with the user whose token a request has shown, or
// trusted for a back end or another node. It may be called more than once.
func WithSettle(ctx context.Context, settle func(userID string, trusted bool)) context.Context {
	return context.WithValue(ctx, settleKey{}, settle)
}

// Settle says whose token a request over the connection has shown.
func Settle(ctx context.Context, userID string, trusted bool) {
	if settle, ok := ctx.Value(settleKey{}).(func(string, bool)); ok {
		settle(userID, trusted)
	}
}
