package redisadapter

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// pipeline carries messages with the role's client: over connections that it
// shares with others, or to a cluster.
type pipeline struct {
	client  redis.UniversalClient
	command string // PUBLISH, or SPUBLISH
}

var _ carrier = pipeline{}

// carry implements [carrier].
func (p pipeline) carry(deadline time.Time, batch []*outgoing) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	pipe := p.client.Pipeline()
	cmds := make([]redis.Cmder, len(batch))
	for i, out := range batch {
		cmds[i] = once{redis.NewIntCmd(ctx, p.command, out.channel, out.payload)}
		_ = pipe.Process(ctx, cmds[i])
	}
	if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
		return redisError("publish", err)
	}
	for i, out := range batch {
		if err := cmds[i].Err(); err != nil {
			out.became(redisError("publish", err))
			continue
		}
		out.became(nil)
	}
	return nil
}

// finish implements [carrier]: the client is not its own.
func (pipeline) finish(time.Time) {}

// once is a command that the client sends once: a repeated PUBLISH would be
// delivered twice, and retries would make a dead server hold its callers.
type once struct{ redis.Cmder }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }
