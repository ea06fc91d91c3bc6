package redisrole

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tracing"
)

// traceHook creates spans for calls in traced requests. They contain only the names of
// commands, because keys and values may be secret.
type traceHook struct{}

var _ redis.Hook = traceHook{}

// DialHook implements [redis.Hook].
func (traceHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements [redis.Hook].
func (traceHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, span := tracing.Child(ctx, "redis call", tracing.Client)
		if !span.On() {
			return next(ctx, cmd)
		}
		span.Set(tracing.String("db.system.name", "redis"), tracing.String("db.operation.name", cmd.FullName()))
		err := next(ctx, cmd)
		span.End(failed(err))
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (traceHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, span := tracing.Child(ctx, "redis pipeline", tracing.Client)
		if !span.On() {
			return next(ctx, cmds)
		}
		span.Set(tracing.String("db.system.name", "redis"), tracing.Int("db.operation.batch.size", len(cmds)))
		err := next(ctx, cmds)
		span.End(failed(err))
		return err
	}
}

// failed returns err, or nil if err only means that a key is missing.
func failed(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
