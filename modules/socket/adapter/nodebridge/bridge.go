package nodebridge

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// DefaultKey is the default of Node's adapters for the first part of the channels' names.
const DefaultKey = socket.DefaultBridgeKey

const (
	// nodePrefix is the prefix of the ids of Moim's nodes. Node's servers have random ids.
	nodePrefix = "moim-"
	// maxID is the maximum length of other servers' ids, and of the ids of their questions.
	maxID = 64
	// maxPatience limits how long acknowledgements for another server are awaited.
	maxPatience = time.Minute
	// maxQuestions is the maximum number of other servers' questions that wait for
	// acknowledgements.
	maxQuestions = 1000
	// connectTimeout is how long Start waits for the subscriptions.
	connectTimeout = time.Second
)

// Bridge is a [socket.Bridge] to Node's servers. It is safe for concurrent use.
type Bridge struct {
	client   redis.UniversalClient
	self     string
	links    []*link // one for each protocol
	log      *slog.Logger
	warnings rate.Sometimes // limits warnings about dropped messages
	tasks    *tasks.Group
	running  chan struct{} // holds one value for each question that waits for acknowledgements
	stats    counters

	local socket.Local // set by Start

	mu        sync.Mutex
	rooms     map[room]int         // number of this node's sockets in each room
	changed   map[room]bool        // rooms that got their first socket or lost their last
	questions map[string]*question // questions of this node, by id
}

var _ socket.Bridge = (*Bridge)(nil)

// room is a room of a namespace.
type room struct{ namespace, name string }

// dialect is one of the protocols. Its methods do not block, except subscribe and servers.
type dialect interface {
	name() string
	// subscribe subscribes to a namespace's channels.
	subscribe(ctx context.Context, conn *redis.PubSub, ns, self string) error
	// channels returns the number of these channels.
	channels() int
	// namespace returns the namespace to whose subscription a message belongs, if decode
	// needs it.
	namespace(m *redis.Message, known []string) string
	// room returns the room to which a channel is limited, or an empty string.
	room(ns, channel string) string
	// servers returns the number of servers that answer a question, including this one.
	servers(ctx context.Context, client redis.UniversalClient, ns string) (int, error)
	// encode returns a message in the protocol, and its channel. In an answer, the sender
	// is the server that asked.
	encode(m message, self string) (channel, payload string, err error)
	// decode decodes a message. A message that this node does not need has the kind
	// unknown.
	decode(ns, channel, payload string) (message, error)
	publish(ctx context.Context, pipe redis.Pipeliner, channel, payload string) redis.Cmder
}

// counters count messages.
type counters struct{ published, failed, received, dropped atomic.Int64 }

// Stats are the numbers of messages since the start.
type Stats struct {
	Published int64
	Failed    int64 // messages that could not be published
	Received  int64 // messages received, except those of Moim's nodes
	Dropped   int64 // malformed or forbidden messages
}

// errCluster is returned by [New].
var errCluster = errors.New("socket.bridge: a Redis Cluster is not supported: give the socket role (redis.socket.url) a single server, or Sentinels")

// New returns a bridge on the socket role's server. key is the first part of the channels'
// names, as configured in Node's adapters: see [DefaultKey]. It does no I/O.
func New(clients *redisrole.Clients, key string, log *slog.Logger) (*Bridge, error) {
	if clients.Clustered(redisrole.Socket) {
		return nil, errCluster
	}
	client, err := clients.Duplicate(redisrole.Socket)
	if err != nil {
		return nil, err
	}
	b := &Bridge{
		client:    client,
		self:      nodePrefix + engine.NewID(),
		log:       log,
		warnings:  rate.Sometimes{First: 1, Interval: time.Minute},
		tasks:     tasks.New(),
		running:   make(chan struct{}, maxQuestions),
		rooms:     make(map[room]int),
		changed:   make(map[room]bool),
		questions: make(map[string]*question),
	}
	b.links = []*link{newLink(b, classic{key}), newLink(b, sharded{key})}
	return b, nil
}

// Start implements [socket.Bridge].
func (b *Bridge) Start(ctx context.Context, local socket.Local) error {
	b.local = local
	for _, l := range b.links {
		b.tasks.Run(l.publish)
		b.tasks.Run(l.listen)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for _, l := range b.links {
		select {
		case <-l.ready:
		case <-ctx.Done():
		}
	}
	return nil
}

// Health returns nil while this node receives the messages of Node's servers.
func (b *Bridge) Health(context.Context) error {
	for _, l := range b.links {
		select {
		case <-l.ready:
		default:
			return errNotSubscribed
		}
	}
	return nil
}

var errNotSubscribed = errors.New("nodebridge: not subscribed to the channels of Node's servers: Redis is down, or the user has no right to them (docs/redis.md)")

// Stop implements [socket.Bridge]. It publishes waiting messages for at most a second.
func (b *Bridge) Stop(ctx context.Context) error {
	flush, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for _, l := range b.links {
		l.flush(flush)
	}
	err := b.tasks.Stop(ctx)
	return errors.Join(err, b.client.Close())
}

// Stats returns the numbers of messages.
func (b *Bridge) Stats() Stats {
	return Stats{
		Published: b.stats.published.Load(),
		Failed:    b.stats.failed.Load(),
		Received:  b.stats.received.Load(),
		Dropped:   b.stats.dropped.Load(),
	}
}

// Emit implements [socket.Bridge]. It does not wait until Redis has the event.
func (b *Bridge) Emit(_ context.Context, to socket.Selection, env adapter.Envelope) error {
	return b.send(broadcastOf(to, env))
}

func broadcastOf(to socket.Selection, env adapter.Envelope) message {
	m := message{kind: broadcast, namespace: to.Namespace, to: selectionOf(to), event: env}
	m.to.Flags.Volatile = env.Volatile
	return m
}

// Join implements [socket.Bridge].
func (b *Bridge) Join(_ context.Context, to socket.Selection, rooms []string) error {
	return b.send(message{kind: join, namespace: to.Namespace, to: selectionOf(to), rooms: notNil(rooms)})
}

// Leave implements [socket.Bridge].
func (b *Bridge) Leave(_ context.Context, to socket.Selection, rooms []string) error {
	return b.send(message{kind: leave, namespace: to.Namespace, to: selectionOf(to), rooms: notNil(rooms)})
}

// Disconnect implements [socket.Bridge].
func (b *Bridge) Disconnect(_ context.Context, to socket.Selection, closeConnection bool) error {
	return b.send(message{kind: disconnect, namespace: to.Namespace, to: selectionOf(to), close: closeConnection})
}

// send sends a message in all protocols.
func (b *Bridge) send(m message) error {
	var first error
	for _, l := range b.links {
		first = cmp.Or(first, l.send(m)) // the errors are usually the same
	}
	return first
}

// Changed implements [socket.Bridge].
func (b *Bridge) Changed(namespace, name string, by int) {
	r := room{namespace, name}
	b.mu.Lock()
	before := b.rooms[r]
	after := before + by
	b.rooms[r] = after
	if after == 0 {
		delete(b.rooms, r)
	}
	turned := (before > 0) != (after > 0)
	switch {
	case turned && b.changed[r]:
		delete(b.changed, r) // unchanged since the last subscription
	case turned:
		b.changed[r] = true
	}
	b.mu.Unlock()
	if turned {
		for _, l := range b.links {
			tasks.Wake(l.follow)
		}
	}
}

// takeChanged returns the rooms to subscribe to and to unsubscribe from.
func (b *Bridge) takeChanged() (wanted, unwanted []room) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r := range b.changed {
		if b.rooms[r] > 0 {
			wanted = append(wanted, r)
		} else {
			unwanted = append(unwanted, r)
		}
	}
	clear(b.changed)
	return wanted, unwanted
}

func (b *Bridge) has(r room) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rooms[r] > 0
}

// receive handles a message from another server.
func (b *Bridge) receive(l *link, in *redis.Message) {
	ns := l.namespace(in, b.local.Namespaces())
	if name := l.room(ns, in.Channel); name != "" && !b.has(room{ns, name}) {
		return
	}
	m, err := l.decode(ns, in.Channel, in.Payload)
	switch {
	case err != nil:
	case len(m.sender) > maxID || len(m.question) > maxID:
		err = errMalformed
	case !slices.Contains(b.local.Namespaces(), m.namespace) || m.kind == unknown:
		return
	case m.isAnswer():
		b.answered(m)
		return
	case m.sender == b.self:
		b.echoed(l, m.question)
		return
	case strings.HasPrefix(m.sender, nodePrefix):
		if m.question != "" {
			l.answerNothing(m)
		}
		return
	default:
		b.stats.received.Add(1)
		err = l.serve(m)
	}
	if err != nil {
		b.drop(l, in.Channel, err)
	}
}

func (b *Bridge) drop(l *link, channel string, err error) {
	b.stats.dropped.Add(1)
	b.warnings.Do(func() {
		b.log.Warn("nodebridge: dropped a message", "adapter", l.name(), "channel", channel, "err", err)
	})
}
