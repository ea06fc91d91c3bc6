package group

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// gapWait is how long a hole may stand before the log is read: one node's
	// own writers overtake each other on the way here.
	gapWait = 20 * time.Millisecond
	// retryWait is how long after a failed read of the log the next one begins.
	retryWait = 500 * time.Millisecond
	// maxEarly bounds the events kept beyond a hole, and the delivered ones
	// kept for subscribers that are held back. What is dropped is read again.
	maxEarly = 1000
)

// topic is one group's stream on this node.
//
// Live subscribers are in the room, and each has been sent every event up to
// head; an event reaches them by one broadcast. A subscriber that is held back
// stands at a position of its own and is led to head, from recent or from the
// log, before it joins the room.
//
// One goroutine at a time reads the log, while there is something to read:
// answers for waiting subscribers, a hole, or what a subscriber behind lacks.
// Whoever waits shares a read only if it began after he was held back.
type topic struct {
	feed    *Feed
	id      string
	room    string
	watched chan struct{} // closed once other nodes' events arrive, or were waited for

	delivering atomic.Bool // an event is being sent to the live subscribers

	mu      sync.Mutex
	known   bool                         // head means something
	head    int64                        // the last version that the live subscribers were sent
	target  int64                        // the last version heard of
	early   map[int64]item               // heard of, beyond a hole
	recent  []item                       // up to head, without holes, kept while subscribers are held
	subs    map[Subscriber]*subscription // everyone
	held    map[*subscription]struct{}   // those of subs that are not live
	senders map[string]struct{}          // users whom the database has shown to be members
	waiting []*waiter                    // for a read that has not begun
	shared  *sharedPage                  // what subscribers were answered from last; nil: it is forgotten
	reading bool                         // the reading goroutine runs
	gap     *time.Timer                  // armed while a hole stands
	due     bool                         // the hole stood long enough
	lull    *time.Timer                  // armed while subscribers that are behind are busy
	rest    *time.Timer                  // armed while waiting gathers
	restEnd time.Time                    // when the next read for waiting may begin
	over    bool                         // the group has ended
	paused  bool                         // a read failed: the next one waits
}

func newTopic(f *Feed, groupID string) *topic {
	return &topic{
		feed:    f,
		id:      groupID,
		room:    Room(groupID),
		watched: make(chan struct{}),
		early:   make(map[int64]item),
		subs:    make(map[Subscriber]*subscription),
		held:    make(map[*subscription]struct{}),
	}
}

// hold registers s as held back; a live subscriber becomes held again.
func (t *topic) hold(s Subscriber, backend bool) *subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub := t.subs[s]
	if sub == nil {
		sub = &subscription{socket: s}
		t.subs[s] = sub
	}
	if _, held := t.held[sub]; sub.admitted && !held {
		sub.pos = t.head
	}
	sub.backend = backend
	sub.released = false
	s.Leave(t.room)
	t.held[sub] = struct{}{}
	return sub
}

// snapshot answers a subscriber from a read that begins after now.
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
	var member *Member
	if m, is := w.page.Members[w.user]; is {
		member = &m
	}
	if err := req.Admit(w.page.Group, member); err != nil {
		return Subscription{}, err
	}
	answer := w.answer()
	t.admit(sub, answer)
	return answer, nil
}

func (t *topic) admit(sub *subscription, a Subscription) {
	t.mu.Lock()
	first := !sub.admitted && t.subs[sub.socket] == sub
	if a.Group.Version >= t.head {
		t.over = a.Group.EndedAt != nil
	}
	sub.admitted = true
	sub.pos, sub.since = a.Version, a.Group.Version
	t.mu.Unlock()
	if first && !sub.backend && t.feed.watcher != nil {
		t.feed.watcher.Subscribed(t.id, sub.socket)
	}
}

// release lets events follow the answer.
func (t *topic) release(s Subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sub := t.subs[s]; sub != nil && sub.admitted && !sub.released {
		sub.released = true
		t.advanceLocked(sub)
		t.trimLocked()
	}
}

// receive takes one event from a writer of this node, from another node or
// from the log.
func (t *topic) receive(it item) {
	behind := t.delivering.Load() // what follows at once goes together
	t.mu.Lock()
	defer t.mu.Unlock()
	t.target = max(t.target, it.version)
	switch {
	case t.known && it.version <= t.head: // a duplicate
	case t.known && it.version == t.head+1:
		t.deliverLocked(it, behind)
		t.drainLocked()
	default:
		if len(t.early) < maxEarly {
			t.early[it.version] = it
		}
		t.awaitLocked()
	}
}

// heard says that the group stood at version when a query that began after the
// live subscribers had been sent everything up to floor looked.
func (t *topic) heard(version, floor int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heardLocked(version, floor)
}

func (t *topic) heardLocked(version, floor int64) {
	if t.known && version < floor {
		t.resyncLocked()
		return
	}
	if t.target = max(t.target, version); t.known && t.target > t.head {
		t.awaitLocked()
	}
}

// floor returns the version below which the log cannot be any more.
func (t *topic) floor() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// drainLocked delivers what was kept beyond a hole that is closed now.
func (t *topic) drainLocked() {
	for {
		it, ok := t.early[t.head+1]
		if !ok {
			break
		}
		delete(t.early, it.version)
		t.deliverLocked(it, true)
	}
	if t.head >= t.target {
		clear(t.early)
		t.calmLocked()
	}
}

// deliverLocked sends the event after head to the live subscribers, and lets
// those that are held back follow. One that comes right behind another may be
// gathered with it: else, where to write to all of a large group takes longer than
// connections gather for, each would be written alone, and none in time.
func (t *topic) deliverLocked(it item, behind bool) {
	t.delivering.Store(true)
	defer t.delivering.Store(false)
	t.head = it.version
	switch it.typ {
	case GroupEnded, GroupDeleted:
		t.over = true
	case GroupUpdated: // of an ended group nothing but its end can be moved
		t.over = false
	}
	t.localLocked(it.envelope(), behind)
	for _, p := range it.pushes {
		t.localLocked(p.envelope(t.room), behind)
	}
	if user, reason := it.ends(); reason != "" {
		t.forgetLocked(user)
		for _, sub := range t.subs {
			if _, held := t.held[sub]; !held && sub.endedBy(it, user) {
				t.closeLocked(sub, reason)
			}
		}
	}
	if len(t.held) == 0 {
		return
	}
	t.recent = append(t.recent, it)
	for sub := range t.held {
		if sub.released {
			t.advanceLocked(sub)
		}
	}
	t.trimLocked()
}

func (t *topic) localLocked(env adapter.Envelope, behind bool) {
	env.Gather = behind
	t.feed.out.Local(env)
}

// advanceLocked leads a held subscriber towards head and, once there, into the
// room.
func (t *topic) advanceLocked(sub *subscription) {
	if !t.known {
		return
	}
	if n := len(t.recent); n > 0 && sub.pos >= t.recent[0].version-1 {
		for _, it := range t.recent[min(int(sub.pos-t.recent[0].version+1), n):] {
			if !t.sendLocked(sub, it) {
				break
			}
		}
	}
	switch {
	case t.subs[sub.socket] != sub: // the last event ended it
	case sub.pos == t.head:
		delete(t.held, sub)
		sub.socket.Join(t.room)
	case sub.pos < t.head:
		t.wakeLocked()
	default: // its answer knew of more than has arrived here
		t.target = max(t.target, sub.pos)
		t.awaitLocked()
	}
}

// sendLocked sends one event to a held subscriber alone, if it is the next and
// the socket has room for what could wait. It reports whether the subscriber
// may take the one after it.
func (t *topic) sendLocked(sub *subscription, it item) bool {
	if it.version <= sub.pos {
		return true
	}
	if it.version != sub.pos+1 || sub.socket.Busy() {
		return false
	}
	sub.pos = it.version
	sub.socket.Emit(eventPushed, it.wire)
	for _, p := range it.pushes {
		sub.socket.Emit(p.event, p.data)
	}
	if user, reason := it.ends(); reason != "" && sub.endedBy(it, user) {
		t.closeLocked(sub, reason)
		return false
	}
	return true
}

// closeLocked ends a subscription and tells the socket why.
func (t *topic) closeLocked(sub *subscription, reason string) {
	if data, err := marshal(closed{GroupID: t.id, Reason: reason}); err == nil {
		sub.socket.Emit(eventClosed, data)
	}
	t.removeLocked(sub, reason)
}

type closed struct {
	GroupID string `json:"groupId"`
	Reason  string `json:"reason"`
}

func (t *topic) resyncLocked() {
	t.feed.logger.Warn("group: the log is behind what was delivered; was the database restored?", "group", t.id, "head", t.head)
	for _, sub := range t.subs {
		if sub.admitted {
			t.closeLocked(sub, endResync)
		}
	}
	t.known, t.head, t.target, t.recent = false, 0, 0, nil
	t.senders = nil
	t.shareLocked(nil)
	clear(t.early)
	t.calmLocked()
}

func (t *topic) remove(s Subscriber, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sub := t.subs[s]; sub != nil {
		t.removeLocked(sub, reason)
		t.trimLocked()
	}
}

func (t *topic) removeLocked(sub *subscription, reason string) {
	delete(t.subs, sub.socket)
	delete(t.held, sub)
	if len(t.subs) == 0 {
		t.shareLocked(nil)
	}
	sub.socket.Leave(t.room)
	if sub.admitted && !sub.backend && t.feed.watcher != nil {
		t.feed.watcher.Unsubscribed(t.id, sub.socket, reason)
	}
}

// trimLocked forgets delivered events that no held subscriber needs, and the
// oldest ones when a subscriber needs too many: it reads the log instead.
func (t *topic) trimLocked() {
	if len(t.held) == 0 {
		t.recent = nil
	} else if n := len(t.recent); n > 2*maxEarly {
		t.recent = slices.Clone(t.recent[n-maxEarly:])
	}
}

func (t *topic) has(s Subscriber) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub := t.subs[s]
	return sub != nil && sub.admitted
}

// isOver reports whether the group has ended, or may have.
func (t *topic) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over
}

func (t *topic) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.subs) == 0
}
