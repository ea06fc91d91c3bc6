package redisadapter

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// writeTimeout limits the time to write a command to a subscribing connection.
const writeTimeout = 2 * time.Second

// ended is a context that has ended. With it, go-redis uses an existing connection but
// cannot dial a new one. If go-redis reconnected by itself, this package would not notice
// that messages were lost.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// endedUntil returns an ended context with a future deadline, which limits a write.
func endedUntil(deadline time.Time) context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	cancel()
	return ctx
}

// subscription is one connection that subscribes. It never reconnects. One goroutine
// receives; the other methods are safe for concurrent use.
type subscription struct {
	conn    *redis.PubSub
	sharded bool // channels are a cluster's sharded ones
}

// open connects to the server and subscribes to channel. It does not wait for the server's
// reply.
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

// change subscribes to some channels and unsubscribes from others. It does not wait for
// confirmations.
func (s subscription) change(subscribe, leave []string) error {
	ctx := endedUntil(time.Now().Add(writeTimeout))
	if len(subscribe) > 0 {
		if err := s.subscribe(ctx, subscribe...); err != nil {
			return redisError("subscribe", err)
		}
	}
	if len(leave) == 0 {
		return nil
	}
	unsubscribe := s.conn.Unsubscribe
	if s.sharded {
		unsubscribe = s.conn.SUnsubscribe
	}
	if err := unsubscribe(ctx, leave...); err != nil {
		return redisError("unsubscribe", err)
	}
	return nil
}

// ping asks the server to send payload back. It does not wait for the reply.
func (s subscription) ping(payload string) error {
	if err := s.conn.Ping(endedUntil(time.Now().Add(writeTimeout)), payload); err != nil {
		return redisError("ping", err)
	}
	return nil
}

// receive waits for a *redis.Message, *redis.Subscription or *redis.Pong until the
// subscription is closed. It has no deadline, because probes detect a dead connection.
func (s subscription) receive() (any, error) { return s.conn.ReceiveTimeout(ended, 0) }

func (s subscription) close() { _ = s.conn.Close() }
