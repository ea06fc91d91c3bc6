package feed

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// gapWait is how long a gap may last before the log is read. Most gaps close at once:
	// concurrent writers deliver their events out of order.
	gapWait = 20 * time.Millisecond
	// retryWait is the wait between a failed read of the log and the next.
	retryWait = 500 * time.Millisecond
	// maxEarly limits the events kept after a gap. maxRecent and maxRecentBytes limit the
	// delivered events kept for held subscribers. The topic reads others from the log.
	maxEarly       = 1000
	maxRecent      = 1000
	maxRecentBytes = 64 << 10
)

// topic is the event stream of one group on this node.
//
// Live subscribers have received every event up to head, and one broadcast sends them the
// next. A held subscriber has its own position. It catches up with head and then becomes
// live. Its events come from the read for its answer, from recent, or from the log.
//
// All subscribers are in the room from their admission on, because signals and other
// messages that are not in the log go to the room. They must not be lost while a subscriber
// is held.
//
// The topic decides under its lock what to send. One goroutine at a time sends it, without
// the lock, in the order of the decisions (see [topic.pump]). So no lock is held while a
// socket is written to.
//
// One goroutine at a time reads the log, as long as there is need: for subscribers that
// wait for an answer, for a gap, or for events that a held subscriber lacks. A read answers
// only subscribers that were held before it began.
type topic struct {
	feed    *Feed
	id      string
	room    string
	watched chan struct{} // closed once the room is watched or watching failed

	mu          sync.Mutex
	gone        bool                         // its last subscriber has left; the next one needs a new topic
	known       bool                         // head is valid
	epoch       int                          // number of resyncs
	head        int64                        // the last version that was sent, or is being sent, to live subscribers
	target      int64                        // the latest version known to exist
	early       map[int64]*item              // events above head, by version
	recent      []*item                      // events up to head, without gaps; kept while subscribers are held
	recentBytes int                          // size of recent
	subs        map[Subscriber]*subscription // all subscriptions
	held        map[*subscription]struct{}   // the subscriptions that are not live
	live        adapter.SocketSet            // the sockets of the others

	sending  bool            // a goroutine is sending
	telling  bool            // what it sends includes group:closed
	closings []closing       // subscriptions that have ended
	fences   []chan struct{} // each is closed once everything decided before it has been sent

	senders map[string]struct{} // users who are members according to the database
	over    bool                // the group has ended

	waiting []*waiter   // calls for the next read
	shared  *sharedPage // the last page, while it may answer other subscribers
	reading bool        // the reading goroutine is running
	gap     *time.Timer // armed while there is a gap
	due     bool        // the gap has lasted for gapWait
	rest    *time.Timer // armed until restEnd
	restEnd time.Time   // when the next read for waiting may begin
	paused  bool        // a read failed, so the next one waits
}

func newTopic(f *Feed, groupID string) *topic {
	return &topic{
		feed:    f,
		id:      groupID,
		room:    group.Room(groupID),
		watched: make(chan struct{}),
		early:   make(map[int64]*item),
		subs:    make(map[Subscriber]*subscription),
		held:    make(map[*subscription]struct{}),
	}
}

// hold adds s as held; a live subscriber becomes held again. fence is closed once nothing
// more is being sent to s; it is nil if nothing is being sent. hold returns false if the
// topic is gone.
func (t *topic) hold(s Subscriber, backend bool) (sub *subscription, fence <-chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil, nil, false
	}
	sub = t.subs[s]
	if sub != nil || t.telling || len(t.closings) > 0 {
		fence = t.fenceLocked()
	}
	if sub == nil {
		sub = &subscription{socket: s, backend: backend}
		t.subs[s] = sub
	}
	if _, held := t.held[sub]; sub.admitted && !held {
		sub.pos = t.head
	}
	sub.released = false
	t.live.Remove(s)
	t.held[sub] = struct{}{}
	return sub, fence, true
}

// errStale means that an answer is out of date: after its read, a resync came or an event
// ended the subscription.
var errStale = errors.New("the answer is stale")

// snapshot answers a subscriber from a read that begins after the call.
func (t *topic) snapshot(ctx context.Context, sub *subscription, req SubscribeRequest) (Subscription, error) {
	w := &waiter{user: sub.socket.UserID(), since: req.Since, done: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	t.wakeLocked()
	t.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		return Subscription{}, fault.ErrUnavailable.WithCause(ctx.Err())
	}
	if w.err != nil {
		return Subscription{}, w.err
	}
	if w.page.Deleted {
		return Subscription{}, fault.ErrNotFound
	}
	var member *group.Member
	if m, is := w.page.Members[w.user]; is {
		member = &m
	}
	if err := req.Admit(w.page.Group, member); err != nil {
		return Subscription{}, err
	}
	answer := w.answer()
	signals := req.Backend || req.Signals == nil || req.Signals(w.page.Group, member)
	if !t.admit(sub, w.page, answer, signals) {
		return Subscription{}, errStale
	}
	return answer, nil
}

// admit makes sub a subscription that begins at its answer's version. It returns false if
// the answer's page is from an earlier epoch, or if sub has ended.
func (t *topic) admit(sub *subscription, p *excerpt, a Subscription, signals bool) bool {
	t.mu.Lock()
	if t.epoch != p.epoch || t.subs[sub.socket] != sub {
		t.mu.Unlock()
		return false
	}
	first := !sub.admitted
	if a.Group.Version >= t.head {
		t.over = a.Group.EndedAt != nil
	}
	sub.admitted = true
	sub.signals = signals && (sub.backend || a.Group.Version >= t.head) // a later event may have ended the permission
	sub.pos, sub.since = a.Version, a.Group.Version
	sub.missed, sub.ends = itemsAfter(p.items, a.Version), ""
	if sub.endedAt <= a.Group.Version {
		sub.socket.Join(t.room)
	}
	t.mu.Unlock()
	if first && !sub.backend && t.feed.watcher != nil {
		t.feed.watcher.Subscribed(t.id, sub.socket.UserID())
	}
	return true
}

// release lets events follow the answer. It returns false if s is not subscribed.
func (t *topic) release(s Subscriber) bool {
	t.mu.Lock()
	sub := t.subs[s]
	released := sub != nil && sub.admitted
	if released {
		sub.released = true
		if sub.ends != "" {
			t.endLocked(sub, sub.ends)
		}
	}
	t.mu.Unlock()
	t.pump()
	return released
}

// receive accepts events from this node's service, another node or the outbox.
func (t *topic) receive(items ...*item) {
	t.mu.Lock()
	for _, it := range items {
		t.receiveLocked(it)
	}
	t.mu.Unlock()
	t.pump()
}

func (t *topic) receiveLocked(it *item) {
	t.target = max(t.target, it.version)
	if t.known && it.version <= t.head || t.early[it.version] != nil { // a duplicate
		return
	}
	if t.known && it.version == t.head+1 || len(t.early) < maxEarly {
		t.early[it.version] = it
	}
}

// heard records the group's version according to the database. delivered is what
// subscribers knew before the query.
func (t *topic) heard(version, delivered int64) {
	t.mu.Lock()
	t.reportedLocked(version, delivered)
	t.mu.Unlock()
	t.pump()
}

func (t *topic) reportedLocked(version, delivered int64) {
	if t.known && version < delivered {
		t.resyncLocked()
		return
	}
	t.target = max(t.target, version)
}

// delivered returns the latest version that a subscriber knows. A query that begins later
// must find at least this version.
func (t *topic) delivered() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deliveredLocked()
}

func (t *topic) deliveredLocked() int64 {
	version := t.head
	for sub := range t.held {
		version = max(version, sub.since) // its answer may be later than head
	}
	return version
}

// resyncLocked ends all subscriptions, because the log ends before what was delivered.
// Subscribers that wait for an answer get it from a new read.
func (t *topic) resyncLocked() {
	t.feed.logger.Warn("group: the log ends before what was delivered; was the database restored?", "group", t.id, "head", t.head)
	for _, sub := range t.subs {
		if _, held := t.held[sub]; held && !sub.released {
			sub.ends = group.EndResync // group:closed must come after the answer
			sub.pos, sub.since, sub.endedAt = 0, 0, 0
			sub.socket.Leave(t.room)
		} else {
			t.endLocked(sub, group.EndResync)
		}
	}
	t.epoch++
	t.known, t.head, t.target = false, 0, 0
	t.recent, t.recentBytes = nil, 0
	t.senders = nil
	t.shareLocked(nil)
	clear(t.early)
	t.stopGapTimerLocked()
}

// endLocked ends a subscription. Its socket then gets group:closed, and the watcher is
// told, after everything that was decided before.
func (t *topic) endLocked(sub *subscription, reason string) {
	t.dropLocked(sub)
	t.closings = append(t.closings, closing{sub, reason})
}

// remove ends a subscription if there is one, and tells the watcher. If tell is true, the
// socket gets group:closed. fence is closed once nothing more is being sent for the
// subscription; it is nil if nothing is being sent.
func (t *topic) remove(s Subscriber, reason string, tell bool) (fence <-chan struct{}) {
	t.mu.Lock()
	sub := t.subs[s]
	unwatch := false
	switch {
	case sub == nil:
	case tell && sub.admitted:
		t.endLocked(sub, reason)
	default:
		unwatch = sub.watched()
		t.dropLocked(sub)
	}
	fence = t.fenceLocked()
	t.mu.Unlock()
	if unwatch && t.feed.watcher != nil {
		t.feed.watcher.Unsubscribed(t.id, s.UserID(), reason)
	}
	t.pump()
	return fence
}

// dropLocked removes a subscription.
func (t *topic) dropLocked(sub *subscription) {
	delete(t.subs, sub.socket)
	delete(t.held, sub)
	t.live.Remove(sub.socket)
	sub.socket.Leave(t.room)
	t.trimLocked()
	if len(t.subs) == 0 {
		t.shareLocked(nil)
	}
}

// trimLocked drops recent events that no held subscriber needs. If there are too many, it
// drops the older half. Held subscribers then read these from the log.
func (t *topic) trimLocked() {
	if len(t.held) == 0 {
		t.recent, t.recentBytes = nil, 0
		return
	}
	if len(t.recent) <= maxRecent && t.recentBytes <= maxRecentBytes {
		return
	}
	cut := (len(t.recent) + 1) / 2
	for _, it := range t.recent[:cut] {
		t.recentBytes -= len(it.wire)
	}
	t.recent = slices.Clone(t.recent[cut:])
}

func (t *topic) has(s Subscriber) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub := t.subs[s]
	return sub != nil && sub.admitted
}

// isOver reports whether the group has ended.
func (t *topic) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over
}
