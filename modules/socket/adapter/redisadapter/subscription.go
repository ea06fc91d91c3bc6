package redisadapter

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// sealed is a context that has ended. With it go-redis writes to and reads from
// the connection that it has, but cannot dial another one: a reconnection that
// this package does not see would hide that messages were lost.
var sealed = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// subscription is one connection that subscribes. It never reconnects. One
// goroutine receives; the other methods may be called concurrently.
type subscription struct {
	conn    *redis.PubSub
	sharded bool // channels are a cluster's sharded ones
}

// open connects to the server and subscribes to channel. Both are written; the
// server's answer is received later.
func open(ctx context.Context, client redis.UniversalClient, sharded bool, channel string) (subscription, error) {
	s := subscription{conn: client.Subscribe(ctx), sharded: sharded}
	if err := s.subscribe(ctx, channel); err != nil {
		s.close()
		return subscription{}, redisError("connect", err)
	}
	return s, nil
}

func (s subscription) subscribe(ctx context.Context, channels ...string) error {
	if s.sharded {
		return s.conn.SSubscribe(ctx, channels...)
	}
	return s.conn.Subscribe(ctx, channels...)
}

func (s subscription) unsubscribe(channels ...string) error {
	if s.sharded {
		return s.conn.SUnsubscribe(sealed, channels...)
	}
	return s.conn.Unsubscribe(sealed, channels...)
}

// ping asks the server to answer payload.
func (s subscription) ping(payload string) error {
	if err := s.conn.Ping(sealed, payload); err != nil {
		return redisError("ping", err)
	}
	return nil
}

// receive waits for a *redis.Message, *redis.Subscription or *redis.Pong, until
// the subscription is closed. It has no deadline: probes find a dead connection.
func (s subscription) receive() (any, error) { return s.conn.ReceiveTimeout(sealed, 0) }

func (s subscription) close() { _ = s.conn.Close() }
