package nodebridge

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	maxQueue       = 4096     // messages waiting to be published
	maxQueueBytes  = 32 << 20 // total size of these messages
	maxInbox       = 256      // messages waiting to be decoded
	maxBatch       = 256      // messages in one round trip
	publishTimeout = 2 * time.Second
	flushTimeout   = time.Second
	pollConnection = 10 * time.Millisecond
	warnEvery      = 30 * time.Second // interval of warnings while the subscriptions are missing
)

var errQueueFull = errors.New("nodebridge: too many messages wait for Redis: Node's servers are not sent this one")

// link uses one protocol: it publishes messages in order, and subscribes.
type link struct {
	dialect
	b       *Bridge
	queue   chan outgoing
	pending atomic.Int64  // messages in the queue or being published
	bytes   atomic.Int64  // size of these messages
	missing atomic.Bool   // the server does not support the commands
	ready   chan struct{} // closed once the first subscriptions exist or are impossible
	isReady func()
	follow  chan struct{} // receives when rooms have changed
}

type outgoing struct{ channel, payload string }

func newLink(b *Bridge, d dialect) *link {
	l := &link{dialect: d, b: b, queue: make(chan outgoing, maxQueue), ready: make(chan struct{}), follow: make(chan struct{}, 1)}
	l.isReady = sync.OnceFunc(func() { close(l.ready) })
	return l
}

// send queues a message.
func (l *link) send(m message) error {
	if l.missing.Load() {
		return nil
	}
	channel, payload, err := l.encode(m, l.b.self)
	if err != nil {
		return err
	}
	l.pending.Add(1)
	if l.bytes.Add(int64(len(payload))) <= maxQueueBytes {
		select {
		case l.queue <- outgoing{channel, payload}:
			return nil
		default:
		}
	}
	l.done(payload)
	l.b.stats.failed.Add(1)
	return errQueueFull
}

// done records that a message has left the queue.
func (l *link) done(payload string) {
	l.pending.Add(-1)
	l.bytes.Add(-int64(len(payload)))
}

// publish publishes the queued messages until ctx ends. While the server is down, messages
// are lost.
func (l *link) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-l.queue:
			batch := []outgoing{first}
			for len(batch) < maxBatch && len(l.queue) > 0 {
				batch = append(batch, <-l.queue)
			}
			l.publishBatch(ctx, batch)
			for _, out := range batch {
				l.done(out.payload)
			}
		}
	}
}

func (l *link) publishBatch(ctx context.Context, batch []outgoing) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	pipe := l.b.client.Pipeline()
	var calls []redis.Cmder
	for _, out := range batch {
		calls = append(calls, l.dialect.publish(ctx, pipe, out.channel, out.payload))
	}
	_, _ = pipe.Exec(ctx) // each call has its own error
	for _, call := range calls {
		switch err := call.Err(); {
		case err == nil:
			l.b.stats.published.Add(1)
		case l.unsupported(err):
			return
		default:
			l.b.stats.failed.Add(1)
			l.b.warnings.Do(func() {
				l.b.log.Warn("nodebridge: Node's servers were not sent a message", "adapter", l.name(), "err", err)
			})
		}
	}
}

// unsupported reports whether err means that the server is too old for the protocol. Redis
// has sharded channels since version 7.
func (l *link) unsupported(err error) bool {
	if text := strings.ToLower(err.Error()); !strings.Contains(text, "unknown command") && !strings.Contains(text, "unknown subcommand") {
		return false
	}
	if !l.missing.Swap(true) {
		l.b.log.Info("nodebridge: the Redis server has no sharded channels", "adapter", l.name())
	}
	l.isReady()
	return true
}

// flush waits until the queued messages are published.
func (l *link) flush(ctx context.Context) {
	for l.pending.Load() > 0 && tasks.Pause(ctx, pollConnection) {
	}
}

// listen subscribes and receives until ctx ends. go-redis restores the subscriptions after
// a failure.
func (l *link) listen(ctx context.Context) {
	if _, err := l.servers(ctx, l.b.client, "/"); err != nil && l.unsupported(err) {
		return
	}
	conn := l.b.client.Subscribe(ctx)
	defer func() { _ = conn.Close() }()
	for _, ns := range l.b.local.Namespaces() {
		_ = l.subscribe(ctx, conn, ns, l.b.self) // go-redis repeats it when it connects
	}
	l.b.tasks.Run(func(ctx context.Context) { l.followRooms(ctx, conn) })
	messages := conn.ChannelWithSubscriptions(redis.WithChannelSize(maxInbox))
	confirmed, wanted := 0, l.channels()*len(l.b.local.Namespaces())
	warn := time.NewTicker(warnEvery)
	defer warn.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-warn.C:
			if confirmed < wanted {
				l.b.log.WarnContext(ctx, "nodebridge: rooms are not shared with Node's servers", "adapter", l.name(), "err", errNotSubscribed)
			}
		case in, open := <-messages:
			if !open {
				return
			}
			switch in := in.(type) {
			case *redis.Message:
				l.b.receive(l, in)
			case *redis.Subscription:
				if strings.HasSuffix(in.Kind, "unsubscribe") {
					continue
				}
				if in.Count == 1 && confirmed > 0 {
					l.b.log.WarnContext(ctx, "nodebridge: the connection to Redis was renewed: messages of Node's servers may be missing", "adapter", l.name())
				}
				if confirmed++; confirmed == wanted {
					l.b.log.InfoContext(ctx, "nodebridge: sharing rooms with Node's servers", "adapter", l.name())
					l.isReady()
				}
			}
		}
	}
}

// followRooms subscribes to the channels of rooms with sockets of this node, if the
// protocol has such channels.
func (l *link) followRooms(ctx context.Context, conn *redis.PubSub) {
	s, has := l.dialect.(sharded)
	if !has {
		return
	}
	for {
		wanted, unwanted := l.b.takeChanged()
		if len(wanted) > 0 {
			_ = conn.SSubscribe(ctx, s.roomChannels(wanted)...) // go-redis repeats it when it connects
		}
		if len(unwanted) > 0 {
			_ = conn.SUnsubscribe(ctx, s.roomChannels(unwanted)...)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.follow:
		}
	}
}
