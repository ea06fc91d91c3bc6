package redisadapter

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

// bounded returns a client to publish with, whose commands all have a time limit. An
// embedding program's client may have none. For a cluster client without timeouts it
// returns duplicate, whose commands end with their contexts.
func bounded(client, duplicate redis.UniversalClient, timeout time.Duration) redis.UniversalClient {
	if c, ok := client.(*redis.ClusterClient); ok {
		if o := c.Options(); o.ReadTimeout <= 0 || o.WriteTimeout <= 0 {
			return duplicate
		}
	}
	return redisrole.Bounded(client, timeout)
}

// publish sends the batch in one pipeline and reports each message's result to its sender.
// It returns whether the server answered.
func (p *publisher) publish(timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	pipe := p.client.Pipeline()
	cmds := make([]redis.Cmder, len(p.batch))
	for i, out := range p.batch {
		if out.envelope {
			p.key.seal(out.channel, out.payload)
		}
		cmds[i] = once{redis.NewIntCmd(ctx, p.command, out.channel, out.payload)}
		_ = pipe.Process(ctx, cmds[i])
	}
	if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
		err = redisError("publish", err)
		p.status.set(err) // before the results, so that senders that retry fail at once
		p.fail(err)
		return false
	}
	for i, out := range p.batch {
		err := cmds[i].Err()
		if err != nil {
			err = redisError("publish", err)
		}
		out.became(err)
	}
	return true
}

// fail reports err to all senders of the batch.
func (p *publisher) fail(err error) {
	for _, out := range p.batch {
		out.became(err)
	}
}

// ping checks that the server answers.
func (p *publisher) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var ask redis.Cmder = redis.NewStatusCmd(ctx, "ping")
	if p.pingTo != "" {
		ask = redis.NewIntCmd(ctx, p.command, p.pingTo, "")
	}
	if err := p.client.Process(ctx, once{ask}); err != nil && !isReply(err) {
		return redisError("ping", err)
	}
	return nil
}

// once is a command that the client does not retry. A retried PUBLISH could be delivered
// twice, and retries would block callers while the server is down.
type once struct{ redis.Cmder }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }
