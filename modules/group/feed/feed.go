package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// catchUpLimit is the maximum number of events in one read of the log.
	catchUpLimit = 1000
	// missedBytes limits the events of one read that are kept for one subscriber. At least
	// one event is kept. The feed reads the others again.
	missedBytes = 256 << 10

	// busyWait is the maximum wait of Subscribe for a busy subscriber.
	busyWait = 2 * time.Second
	busyPoll = 5 * time.Millisecond // interval of checks
)

// Emitter sends to the sockets and to the other nodes. adapter.Owner implements it.
type Emitter interface {
	// CheckEvent returns an error for an event that belongs to another module.
	CheckEvent(event string) error
	// Watch begins to receive envelopes for a room from other nodes. It waits a short time
	// until they arrive. Unwatch ends this.
	Watch(ctx context.Context, room string) error
	Unwatch(room string)
	// Sockets returns this node's sockets in the room. Do not modify the slice. Sockets
	// does not block.
	Sockets(room string) []adapter.Socket
	// Publish sends to the other nodes.
	Publish(ctx context.Context, env adapter.Envelope) error
	// CastQueued sends to all nodes what may be lost. It does not wait for them.
	CastQueued(ctx context.Context, env adapter.Envelope)
}

// Subscriber is a socket that follows groups. The feed compares subscribers, so a socket
// must always be the same value.
type Subscriber interface {
	adapter.Socket
	// Busy reports whether the socket's queue is so long that less urgent events should
	// wait.
	Busy() bool
	// WhenFree arranges that fn is called once the socket is not busy any more, or has
	// ended. WhenFree does not block, and does not call fn itself.
	WhenFree(fn func())
	// Join and Leave change the rooms that the socket is in. They do not block.
	Join(room string)
	Leave(room string)
}

// Watcher is told when subscriptions of users begin and end on this node, once for each
// socket and group. Subscriptions of back ends are not reported. Its methods must not
// block.
type Watcher interface {
	Subscribed(groupID, userID string)
	Unsubscribed(groupID, userID, reason string)
	// Ended reports that a change made on this node ended a user's membership. The user may
	// have no socket.
	Ended(groupID, userID, reason string)
}

// SubscribeRequest describes a subscription to begin.
type SubscribeRequest struct {
	GroupID string
	Since   *int64 // the last version that the client has seen; nil for none
	Backend bool   // the socket of an application's back end: not shown as present, needs no membership
	// Admit decides whether the user may subscribe. It gets the group and the user's
	// membership, or nil. Both were read after the feed began to hold back events for the
	// socket. Subscribe returns Admit's error.
	Admit func(group.Group, *group.Member) error
	// Signals reports whether an admitted user may send signals. If it is nil, all may.
	Signals func(group.Group, *group.Member) bool
}

// Subscription is the answer to a [SubscribeRequest].
type Subscription struct {
	Group    group.Group
	Version  int64 // all later events follow; it is Since or the group's version
	Snapshot bool  // the log does not reach back to Since: the client must start from Group
}

// Feed delivers the events of groups to the sockets that are subscribed on this node. Each
// socket gets every event after the version of its subscription, once, in order of version.
//
// It is safe for concurrent use, but calls for the same subscriber must not overlap. No
// lock is held while a socket is written to or the log is read. The feed's lock and a
// topic's lock are never held together, so no group waits for another. A topic's lock is
// taken before a socket's lock and the hub's.
type Feed struct {
	store   group.Log
	out     Emitter
	watcher Watcher
	logger  *slog.Logger
	program group.Translator

	subscriptions limit.Cap // of a socket
	lateness      *lateness
	attendance    *attendance // if nil, Audience counts only sockets of this node
	tracer        tracing.Tracer

	reads       atomic.Int64
	sharedBytes atomic.Int64 // size of all topics' shared pages
	publish     chan *item
	poke        chan struct{}
	tasks       *tasks.Group

	mu      sync.Mutex
	topics  map[string]*topic
	sockets map[Subscriber]map[string]struct{} // groups that each socket may be subscribed to
}

// New returns a feed that reads events from store and sends them through out. watcher may
// be nil. Pass [Feed.Receive] and [Feed.Lost] to the hub before it starts.
func New(store group.Log, out Emitter, watcher Watcher, logger *slog.Logger) *Feed {
	return &Feed{
		store:   store,
		out:     out,
		watcher: watcher,
		logger:  logger,
		publish: make(chan *item, publishQueue),
		poke:    make(chan struct{}, 1),
		tasks:   tasks.New(),
		topics:  make(map[string]*topic),
		sockets: make(map[Subscriber]map[string]struct{}),

		subscriptions: limit.NoCap,
		lateness:      newLateness(),
	}
}

// Translate makes the feed send the translation by t after each event. Call it before
// Start.
func (f *Feed) Translate(t group.Translator) { f.program = t }

// Trace makes the feed create spans with t for the events of traced changes. Each event
// gets one span for its publication, and one on each node for its delivery to all sockets
// there. Call it before Start.
func (f *Feed) Trace(t tracing.Tracer) { f.tracer = t }

// Limit sets the maximum number of groups that a socket may be subscribed to. Call it
// before Start.
func (f *Feed) Limit(subscriptions limit.Cap) { f.subscriptions = subscriptions }

// Announce delivers the committed events of one change on this node and queues them for the
// other nodes. It does not wait for the other nodes and never fails: the relay publishes
// events that could not be published, and other nodes find missing events in the log.
func (f *Feed) Announce(ctx context.Context, events []group.Event) {
	parent := tracing.Carry(ctx)
	items := make([]*item, 0, len(events))
	for _, e := range events {
		it, err := newItem(e)
		if err != nil {
			f.logger.ErrorContext(ctx, "group: cannot encode an event", "group", e.GroupID, "version", e.Version, "err", err)
			continue
		}
		it.trace = parent
		if user, reason := it.ends(); user != "" && f.watcher != nil {
			f.watcher.Ended(it.groupID, user, reason)
		}
		items = append(items, it)
	}
	f.deliver(items...)
	f.tellMine(ctx, items)
	for _, it := range items {
		select {
		case f.publish <- it:
		default: // the queue is full: the relay publishes it from the outbox
		}
	}
}

// Receive delivers an event that another node published.
func (f *Feed) Receive(env adapter.Envelope) {
	it, err := parseItem(env)
	if err != nil {
		f.logger.Warn("group: dropped a malformed event", "room", env.Room, "err", err)
		return
	}
	f.deliver(it)
}

// Reads returns the number of reads of the log so far.
func (f *Feed) Reads() int64 { return f.reads.Load() }

// Lost makes the feed check for missed events of other nodes.
func (f *Feed) Lost() {
	tasks.Wake(f.poke)
}

// deliver passes events of one group to the group's topic, if there is one.
func (f *Feed) deliver(items ...*item) {
	if len(items) == 0 {
		return
	}
	t := f.topic(items[0].groupID)
	if t == nil {
		return
	}
	for _, it := range items {
		f.translated(it)
	}
	t.receive(items...)
}

func (f *Feed) topic(groupID string) *topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topics[groupID]
}

// Subscribe subscribes s to a group. It first holds back the group's events for s and then
// reads the answer from the log. Call [Feed.Release] once the answer is queued for s; then
// every event after the answer's version follows. If s is already subscribed, it gets a new
// answer, and no event twice.
//
// It returns the error of Admit, fault.ErrNotFound if the group is unknown or deleted, and
// fault.ErrUnavailable if the log cannot be read. After fault.ErrUnavailable, an earlier
// subscription of s continues. Any other error ends it, and s gets group:closed.
//
// While s is busy, Subscribe waits for up to 2 s. A subscription that catches up keeps
// events in memory, so a client that does not read must not get many of them.
func (f *Feed) Subscribe(ctx context.Context, s Subscriber, req SubscribeRequest) (Subscription, error) {
	for end := time.Now().Add(busyWait); s.Busy() && time.Now().Before(end); {
		if !tasks.Pause(ctx, busyPoll) {
			return Subscription{}, fault.ErrUnavailable.WithCause(ctx.Err())
		}
	}
	for {
		answer, err := f.subscribe(ctx, s, req)
		switch {
		case err == nil:
			return answer, nil
		case errors.Is(err, errStale):
			continue
		case errors.Is(err, fault.ErrUnavailable) && f.Release(s, req.GroupID):
		case errors.Is(err, fault.ErrNotFound):
			f.leave(s, req.GroupID, group.EndDeleted, true)
		default:
			f.leave(s, req.GroupID, group.EndRemoved, true)
		}
		return Subscription{}, err
	}
}

func (f *Feed) subscribe(ctx context.Context, s Subscriber, req SubscribeRequest) (Subscription, error) {
	t, sub, err := f.enter(ctx, s, req)
	if err != nil {
		return Subscription{}, err
	}
	return t.snapshot(ctx, sub, req)
}

// Release begins to send the events that follow the answer of [Feed.Subscribe]. It returns
// false if s is not subscribed.
func (f *Feed) Release(s Subscriber, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.release(s)
}

// Unsubscribe ends a subscription if there is one, and passes the reason to the watcher.
// After it returns, s gets no more events of the group.
func (f *Feed) Unsubscribe(s Subscriber, groupID, reason string) {
	if sent := f.leave(s, groupID, reason, false); sent != nil {
		<-sent
	}
}

// Drop ends all of a socket's subscriptions.
func (f *Feed) Drop(s Subscriber, reason string) {
	f.mu.Lock()
	groups := f.sockets[s]
	delete(f.sockets, s)
	f.mu.Unlock()
	for groupID := range groups {
		f.leave(s, groupID, reason, false)
	}
}

// IsSubscribed reports whether s is subscribed to a group.
func (f *Feed) IsSubscribed(s Subscriber, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.has(s)
}

// enter adds s to the group's topic, where its events are held back. It waits until events
// of other nodes arrive. If that fails, the node goes on, because it finds their events in
// the log.
func (f *Feed) enter(ctx context.Context, s Subscriber, req SubscribeRequest) (*topic, *subscription, error) {
	if err := f.note(s, req.GroupID); err != nil {
		return nil, nil, err
	}
	t, sub, sent, created := f.hold(s, req)
	if created {
		if err := f.out.Watch(f.tasks.Context(), t.room); err != nil {
			f.logger.DebugContext(ctx, "group: subscribed without events from other nodes", "group", t.id, "err", err)
		}
		close(t.watched)
	}
	for _, ready := range []<-chan struct{}{t.watched, sent} {
		if ready == nil {
			continue
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, nil, fault.ErrUnavailable.WithCause(ctx.Err())
		}
	}
	return t, sub, nil
}

// note records that s may be subscribed to a group. It fails if s has too many
// subscriptions.
func (f *Feed) note(s Subscriber, groupID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := f.sockets[s]
	if _, again := groups[groupID]; !again && f.subscriptions.Exceeded(len(groups)+1) {
		return group.ErrLimitReached.WithMessage("this socket follows too many groups: unsubscribe from some")
	}
	if groups == nil {
		groups = make(map[string]struct{})
		f.sockets[s] = groups
	}
	groups[groupID] = struct{}{}
	return nil
}

// hold adds s to the group's topic, where its events are held back. It reports whether it
// created the topic. sent is closed once nothing more is being sent to s; it may be nil.
func (f *Feed) hold(s Subscriber, req SubscribeRequest) (t *topic, sub *subscription, sent <-chan struct{}, created bool) {
	for {
		if t = f.topic(req.GroupID); t == nil {
			t = newTopic(f, req.GroupID)
			sub, _, _ = t.hold(s, req.Backend)
			if f.add(t) {
				return t, sub, nil, true
			}
			continue
		}
		if sub, sent, ok := t.hold(s, req.Backend); ok {
			return t, sub, sent, false
		}
		f.forget(t)
	}
}

// add registers t as the topic of its group. It returns false if there is one already.
func (f *Feed) add(t *topic) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics[t.id] != nil {
		return false
	}
	f.topics[t.id] = t
	return true
}

// leave ends a subscription. If tell is true, s gets group:closed. sent is closed once
// nothing more is being sent for the subscription; it may be nil.
func (f *Feed) leave(s Subscriber, groupID, reason string, tell bool) (sent <-chan struct{}) {
	f.mu.Lock()
	t := f.topics[groupID]
	if groups := f.sockets[s]; groups != nil {
		delete(groups, groupID)
		if len(groups) == 0 {
			delete(f.sockets, s)
		}
	}
	f.mu.Unlock()
	if t == nil {
		return nil
	}
	return t.remove(s, reason, tell)
}

// forget removes a topic without subscribers.
func (f *Feed) forget(t *topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics[t.id] == t {
		delete(f.topics, t.id)
	}
}
