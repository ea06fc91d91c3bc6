package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// catchUpLimit is how many events one read of the log returns.
	catchUpLimit = 1000
	// missedBytes bounds the events of such a read that are kept for one
	// subscriber; the first is always kept. The others are read again.
	missedBytes = 256 << 10
)

// Emitter is the way out to the sockets, as the feed needs it. adapter.Owner
// fulfils it.
type Emitter interface {
	// CheckEvent returns an error for an event that belongs to another module.
	CheckEvent(event string) error
	// Watch begins this node's interest in a room and waits, briefly, until
	// envelopes of other nodes arrive; Unwatch ends it.
	Watch(ctx context.Context, room string) error
	Unwatch(room string)
	// Sockets returns this node's sockets in the room: to be read only. It
	// does not block.
	Sockets(room string) []adapter.Socket
	// Publish sends to the other nodes. Tell sends to them and to this node's
	// sockets what may be lost, and does not wait.
	Publish(ctx context.Context, env adapter.Envelope) error
	Tell(ctx context.Context, env adapter.Envelope)
}

// Subscriber is a socket, as the feed needs it. Subscribers are compared: one
// value a socket.
type Subscriber interface {
	adapter.Socket
	// Busy reports whether so much is queued for the socket that more, if it
	// can, should wait.
	Busy() bool
	// Join and Leave change the rooms that the socket is in. They do not block.
	Join(room string)
	Leave(room string)
}

// Watcher is told whose subscriptions begin and end on this node, once a
// socket and group; back ends are left out. Its methods do not block.
type Watcher interface {
	Subscribed(groupID, userID string)
	Unsubscribed(groupID, userID, reason string)
	// Ended says that a change made on this node ended a membership, whether
	// or not the user has sockets anywhere.
	Ended(groupID, userID, reason string)
}

// SubscribeRequest says what a socket wants to follow.
type SubscribeRequest struct {
	GroupID string
	Since   *int64 // the last version that the client has seen; nil: none
	Backend bool   // an application's back end: never present, outlives memberships
	// Admit decides on the group and the user's membership (nil: none), both
	// read after the socket began to be held back. Its error is returned.
	Admit func(group.Group, *group.Member) error
}

// Subscription answers a [SubscribeRequest].
type Subscription struct {
	Group    group.Group
	Version  int64 // every event after it follows: Since, or the group's version
	Snapshot bool  // the log does not reach Since: start from Group
}

// Feed delivers the events of groups to the sockets subscribed on this node:
// every event after the version that a socket subscribed at, once, in order of
// version. The log is the truth and the adapter only a doorbell: a hole or a
// silence is filled from the log.
//
// Its methods may be called concurrently, those for one subscriber only one
// after the other. No lock is held while a socket is written to or the log is
// read. The feed's lock and a topic's are never held together, so that no group
// waits for another. A topic's comes before a socket's and the hub's.
type Feed struct {
	store   group.Log
	out     Emitter
	watcher Watcher
	logger  *slog.Logger
	program group.Translator

	reads       atomic.Int64
	sharedBytes atomic.Int64 // of what topics keep for those who come next
	publish     chan *item
	poke        chan struct{}
	tasks       *tasks.Group

	mu      sync.Mutex
	topics  map[string]*topic
	sockets map[Subscriber]map[string]struct{} // groups that a socket may be subscribed to
}

// New returns a feed that reads store and delivers through out. watcher may
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
	}
}

// Translate makes the feed tell subscribers, after each event, what t makes of
// it. Call it before Start.
func (f *Feed) Translate(t group.Translator) { f.program = t }

// Announce tells the members connected anywhere what was committed. It does
// not wait for other nodes and never fails: what is not delivered now, the
// relay or another node's reading of the log delivers later.
func (f *Feed) Announce(events []group.Event) {
	for _, e := range events {
		it, err := newItem(e)
		if err != nil {
			f.logger.Error("group: an event cannot be encoded", "group", e.GroupID, "version", e.Version, "err", err)
			continue
		}
		if user, reason := it.ends(); user != "" && f.watcher != nil {
			f.watcher.Ended(it.groupID, user, reason)
		}
		f.deliver(it)
		select {
		case f.publish <- it:
		default: // the relay takes it from the outbox
		}
	}
}

// Receive takes an event that another node published.
func (f *Feed) Receive(env adapter.Envelope) {
	it, err := parseItem(env)
	if err != nil {
		f.logger.Warn("group: dropped a malformed event", "room", env.Room, "err", err)
		return
	}
	f.deliver(it)
}

// Reads returns how often the log was read, for subscribers that waited for an
// answer or lacked events, since the feed was made.
func (f *Feed) Reads() int64 { return f.reads.Load() }

// Lost says that events of other nodes may have been missed.
func (f *Feed) Lost() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

func (f *Feed) deliver(it *item) {
	if t := f.topic(it.groupID); t != nil {
		t.receive(f.translated(it))
	}
}

func (f *Feed) topic(groupID string) *topic {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topics[groupID]
}

// Subscribe begins to hold back a group's events for s and answers with a read
// of the log that started after that. Once the answer is on its way, call
// [Feed.Release]: every event after the answer's version follows. Subscribing
// again answers again and doubles nothing.
//
// It returns Admit's error, fault.ErrNotFound for a group that is unknown or
// deleted, and fault.ErrUnavailable when the log cannot be read; then a
// subscription that s had before goes on. With any other error it ends, and s is
// told so.
func (f *Feed) Subscribe(ctx context.Context, s Subscriber, req SubscribeRequest) (Subscription, error) {
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

// Release lets the events that follow the answer to [Feed.Subscribe] go out. It
// reports false when s is not subscribed.
func (f *Feed) Release(s Subscriber, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.release(s)
}

// Unsubscribe ends a subscription; the reason goes to the watcher. It does
// nothing when there is none. Once it returns, s is sent no more events of the
// group.
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

// IsSubscribed reports whether s was admitted to a group and still is.
func (f *Feed) IsSubscribed(s Subscriber, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.has(s)
}

// MaySignal reports whether s follows the group, as far as this node has heard,
// and it goes on: then the database need not be asked.
func (f *Feed) MaySignal(s Subscriber, groupID string) bool {
	t := f.topic(groupID)
	return t != nil && t.has(s) && !t.isOver()
}

// enter registers s, held back, with the group's topic and waits until other
// nodes' events arrive here. A node that cannot hear the others goes on: it
// finds their events in the log.
func (f *Feed) enter(ctx context.Context, s Subscriber, req SubscribeRequest) (*topic, *subscription, error) {
	if err := f.note(s, req.GroupID); err != nil {
		return nil, nil, err
	}
	t, sub, sent, created := f.hold(s, req)
	if created {
		if err := f.out.Watch(f.tasks.Context(), t.room); err != nil {
			f.logger.Debug("group: following a group without hearing other nodes", "group", t.id, "err", err)
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

// note remembers that s may be subscribed to a group from now on.
func (f *Feed) note(s Subscriber, groupID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := f.sockets[s]
	if _, again := groups[groupID]; !again && len(groups) >= maxSubscriptions {
		return group.ErrLimitReached.WithMessage("this socket follows too many groups: unsubscribe from some")
	}
	if groups == nil {
		groups = make(map[string]struct{})
		f.sockets[s] = groups
	}
	groups[groupID] = struct{}{}
	return nil
}

// hold registers s, held back, with the group's topic, and reports whether it
// made the topic. sent is closed once nothing more is sent to s; it may be nil.
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

// add makes t the topic of its group, unless there is one.
func (f *Feed) add(t *topic) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics[t.id] != nil {
		return false
	}
	f.topics[t.id] = t
	return true
}

// leave ends a subscription. sent is closed once nothing more is sent for it; it
// is nil when nothing is being sent.
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

// forget makes the feed forget a topic that is gone.
func (f *Feed) forget(t *topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.topics[t.id] == t {
		delete(f.topics, t.id)
	}
}

// maxSubscriptions bounds the groups that one socket follows.
const maxSubscriptions = 10_000
