package redisadapter

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// bounded returns what to publish with instead of client, so that no command waits
// without bound for the server: an embedding program's client may do so. A client
// of one server that is more patient than publishTimeout yields a view of itself,
// on the same connections. A cluster's client without timeouts yields duplicate,
// whose commands end with their contexts.
func bounded(client, duplicate redis.UniversalClient) redis.UniversalClient {
	within := func(d time.Duration) bool { return 0 < d && d <= publishTimeout }
	switch c := client.(type) {
	case *redis.Client:
		if o := c.Options(); !within(o.ReadTimeout) || !within(o.WriteTimeout) {
			return c.WithTimeout(publishTimeout)
		}
	case *redis.ClusterClient:
		if o := c.Options(); o.ReadTimeout <= 0 || o.WriteTimeout <= 0 {
			return duplicate
		}
	}
	return client
}

// publish sends the batch in one pipeline, and tells each sender what became of
// their message. It reports whether the server answered.
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
		p.status.set(err) // before the senders know and come again
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

// fail tells all senders of the batch.
func (p *publisher) fail(err error) {
	for _, out := range p.batch {
		out.became(err)
	}
}

// ping asks the server for a sign of life.
func (p *publisher) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
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

// once is a command that the client sends once. A retried PUBLISH would be
// delivered twice, and retries would make a dead server hold its callers.
type once struct{ redis.Cmder }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }
