package redisadapter

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/modules/redisrole"
)

// stream is a connection that subscribes. It may be told to do something while
// another goroutine receives.
type stream interface {
	subscribe(ctx context.Context, channels ...string) error
	unsubscribe(ctx context.Context, channels ...string) error
	// ping asks the server to answer payload.
	ping(ctx context.Context, payload string) error
	// receive waits for what comes next, until the stream is closed.
	receive() (arrival, error)
	close()
}

// arrival is what comes over a stream.
type arrival struct {
	kind    kind
	channel string // of all but pongs and echoes
	payload string // of messages and pongs
}

type kind int

const (
	message kind = iota
	echo         // a message that this node has published
	entered      // a channel
	left         // a channel: as asked, or because a cluster has moved it
	pong
)

// open connects to the server and subscribes to the node's own channel.
func (s *shard) open(ctx context.Context) (stream, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var opened stream
	if s.clients.Connects(redisrole.Socket) {
		conn, err := s.clients.Connect(ctx, redisrole.Socket)
		if err != nil {
			return nil, redisError("connect", err)
		}
		opened = newListener(conn, s.a.publishedHere)
	} else {
		opened = pubSub{s.subscriber.Subscribe(ctx), s.keys.sharded}
	}
	if err := opened.subscribe(ctx, s.probe); err != nil {
		opened.close()
		return nil, redisError("connect", err)
	}
	return opened, nil
}

// pubSub is go-redis's stream: of a cluster, behind Sentinels, or of a client that
// the embedding program has.
type pubSub struct {
	conn    *redis.PubSub
	sharded bool
}

var _ stream = pubSub{}

func (p pubSub) subscribe(ctx context.Context, channels ...string) error {
	if p.sharded {
		return p.conn.SSubscribe(ctx, channels...)
	}
	return p.conn.Subscribe(ctx, channels...)
}

func (p pubSub) unsubscribe(ctx context.Context, channels ...string) error {
	if p.sharded {
		return p.conn.SUnsubscribe(ctx, channels...)
	}
	return p.conn.Unsubscribe(ctx, channels...)
}

func (p pubSub) ping(ctx context.Context, payload string) error { return p.conn.Ping(ctx, payload) }

func (p pubSub) receive() (arrival, error) {
	for {
		msg, err := p.conn.ReceiveTimeout(sealed, 0)
		if err != nil {
			return arrival{}, err
		}
		switch msg := msg.(type) {
		case *redis.Message:
			return arrival{kind: message, channel: msg.Channel, payload: msg.Payload}, nil
		case *redis.Pong:
			return arrival{kind: pong, payload: msg.Payload}, nil
		case *redis.Subscription:
			if strings.HasSuffix(msg.Kind, "unsubscribe") {
				return arrival{kind: left, channel: msg.Channel}, nil
			}
			return arrival{kind: entered, channel: msg.Channel}, nil
		}
	}
}

func (p pubSub) close() { _ = p.conn.Close() }
