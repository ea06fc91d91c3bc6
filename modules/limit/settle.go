package limit

import "context"

type settleKey struct{}

// WithSettle returns a context for a network connection that counts for [Limits.Pending]. A
// verified request calls settle with its user. trusted is set for a back end or another
// node. settle may be called more than once.
func WithSettle(ctx context.Context, settle func(userID string, trusted bool)) context.Context {
	return context.WithValue(ctx, settleKey{}, settle)
}

// Settle reports the user of a verified request on the connection.
func Settle(ctx context.Context, userID string, trusted bool) {
	if settle, ok := ctx.Value(settleKey{}).(func(string, bool)); ok {
		settle(userID, trusted)
	}
}
