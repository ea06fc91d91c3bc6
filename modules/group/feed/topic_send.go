package feed

import (
	"context"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// inlineSockets and inlineSteps bound what a caller sends itself, because a
	// goroutine of its own would cost more than it sends: to so few sockets, a
	// few times. All else is left to a goroutine, so that nobody who serves
	// other groups as well waits for a large or a busy one.
	inlineSockets = 64
	inlineSteps   = 4

	// stepEvents and stepBytes bound what a subscriber is sent in one step.
	stepEvents = 32
	stepBytes  = 64 << 10

	// A topic rests that took longer to send to than restFrom, for longestRest
	// at most.
	restFrom    = time.Millisecond
	longestRest = 50 * time.Millisecond

	// lullWait is how long a subscriber that is behind rests when its socket is
	// busy.
	lullWait = 20 * time.Millisecond
)

// step is what a topic sends next: decided under its lock, sent outside of it,
// in the order of its fields.
type step struct {
	closings []closing       // subscriptions that are over
	fences   []chan struct{} // whoever waits until everything before has been sent
	events   []*item         // those after head
	live     []adapter.Socket
	took     time.Duration // to send events to live
	endings  []closing     // subscriptions that the last event ends
	catchUps []catchUp
}

// catchUp is what one held subscriber is to be sent.
type catchUp struct {
	sub   *subscription
	items []*item
	ends  string // why the last of them ends the subscription, if it does
	sent  int
}

func (s *step) size() int { return len(s.live) + len(s.catchUps) + len(s.closings) }

func (s *step) empty() bool {
	return len(s.events) == 0 && len(s.closings) == 0 && len(s.fences) == 0 && len(s.catchUps) == 0
}

// tells reports whether sockets are told that subscriptions are over.
func (s *step) tells() bool {
	return len(s.closings)+len(s.endings) > 0 ||
		slices.ContainsFunc(s.catchUps, func(c catchUp) bool { return c.ends != "" })
}

// pump sends what is to be sent, unless another goroutine does: that one looks
// again before it ends. Call it after every change of the topic, without its
// lock.
func (t *topic) pump() {
	s := t.next(nil)
	for steps := 0; s != nil; steps++ {
		much := steps == inlineSteps || s.size() > inlineSockets
		if much && t.feed.tasks.Run(func(ctx context.Context) { t.sendOn(ctx, s) }) {
			return
		}
		t.perform(s)
		s = t.next(s)
	}
}

// sendOn sends s and all that follows, in a goroutine of its own. A topic that
// takes long to send events to rests for as long: whoever else sends needs
// processors, too, and what comes meanwhile is written together, which costs much
// less. Catching up is no reason to rest: it would only take longer.
func (t *topic) sendOn(ctx context.Context, s *step) {
	for s != nil {
		t.perform(s)
		if s.took >= restFrom {
			tasks.Pause(ctx, min(s.took, longestRest))
		}
		s = t.next(s)
	}
}

// next decides what to send after done, which is nil for who has sent nothing.
// It returns nil when that is nothing, or for somebody else to send.
func (t *topic) next(done *step) *step {
	t.mu.Lock()
	if done == nil && t.sending {
		t.mu.Unlock()
		return nil
	}
	if done != nil {
		t.performedLocked(done)
	}
	s := t.decideLocked()
	t.sending, t.telling = !s.empty(), s.tells()
	if t.sending {
		t.mu.Unlock()
		return s
	}
	gone := t.retireLocked()
	t.mu.Unlock()
	if gone {
		t.feed.forget(t)
		t.feed.out.Unwatch(t.room) // the Watch is over: its caller was a subscriber
	}
	return nil
}

func (t *topic) decideLocked() *step {
	s := &step{closings: t.closings, fences: t.fences}
	t.closings, t.fences = nil, nil
	t.takeEventsLocked(s)
	t.takeCatchUpsLocked(s)
	t.awaitLocked()
	t.wakeLocked()
	return s
}

// takeEventsLocked takes the events after head that are there. One that ends
// subscriptions is the last of a step: those who are left get what follows.
func (t *topic) takeEventsLocked(s *step) {
	size := 0
	for len(s.events) < stepEvents && size < stepBytes && len(s.endings) == 0 {
		it := t.early[t.head+1]
		if !t.known || it == nil {
			return
		}
		if s.live == nil {
			s.live = t.feed.out.Sockets(t.room)
		}
		s.events = append(s.events, it)
		size += len(it.wire)
		s.endings = t.takeLocked(it)
	}
}

// takeLocked makes it the event at head, and returns the live subscriptions that
// end with it.
func (t *topic) takeLocked(it *item) (endings []closing) {
	delete(t.early, it.version)
	t.head = it.version
	t.calmLocked()
	switch it.typ {
	case group.GroupEnded, group.GroupDeleted:
		t.over = true
	case group.GroupUpdated: // of an ended group nothing but its end can be moved
		t.over = false
	}
	if len(t.held) > 0 {
		t.recent = append(t.recent, it)
		t.recentBytes += len(it.wire)
		t.trimLocked()
	}
	user, reason := it.ends()
	if reason == "" {
		return nil
	}
	t.forgetLocked(user)
	for _, sub := range t.subs {
		if _, held := t.held[sub]; !held && sub.endedBy(it, user) {
			t.dropLocked(sub)
			endings = append(endings, closing{sub, reason})
		}
	}
	return endings
}

// takeCatchUpsLocked takes what held subscribers lack, as far as it is in
// memory. Those that lack nothing join the room.
func (t *topic) takeCatchUpsLocked(s *step) {
	if !t.known {
		return
	}
	for sub := range t.held {
		if !sub.released || sub.resting {
			continue
		}
		if sub.pos == t.head {
			t.goLiveLocked(sub)
			continue
		}
		if items := t.lacksLocked(sub); len(items) > 0 {
			s.catchUps = append(s.catchUps, sub.catchUp(items))
			continue
		}
		t.target = max(t.target, sub.pos) // its answer knew of more than has arrived here
	}
}

// goLiveLocked lets a subscriber that has caught up be sent to with the others.
func (t *topic) goLiveLocked(sub *subscription) {
	delete(t.held, sub)
	sub.missed = nil
	sub.socket.Join(t.room)
	t.trimLocked()
}

// lacksLocked returns the events after a held subscriber's position that are in
// memory.
func (t *topic) lacksLocked(sub *subscription) []*item {
	if len(sub.missed) > 0 {
		return sub.missed
	}
	if len(t.recent) == 0 || sub.pos < t.recent[0].version-1 || sub.pos >= t.head {
		return nil
	}
	return t.recent[sub.pos+1-t.recent[0].version:]
}

// catchUp returns what of items the subscriber is sent in one step: not more
// than up to the event that ends the subscription.
func (sub *subscription) catchUp(items []*item) catchUp {
	c := catchUp{sub: sub}
	size := 0
	for _, it := range items {
		if size += len(it.wire); len(c.items) == stepEvents || size > stepBytes && len(c.items) > 0 {
			break
		}
		c.items = append(c.items, it)
		if user, reason := it.ends(); reason != "" && sub.endedBy(it, user) {
			c.ends = reason
			break
		}
	}
	return c
}

// perform sends a step.
func (t *topic) perform(s *step) {
	t.tell(s.closings)
	for _, fence := range s.fences {
		close(fence)
	}
	if len(s.events) > 0 {
		began := time.Now()
		send(s.events, s.live...)
		s.took = time.Since(began)
		t.tell(s.endings)
	}
	for i := range s.catchUps {
		c := &s.catchUps[i]
		for c.sent < len(c.items) && !c.sub.socket.Busy() {
			send(c.items[c.sent:c.sent+1], c.sub.socket)
			c.sent++
		}
		if c.ends != "" && c.sent == len(c.items) {
			t.tell([]closing{{c.sub, c.ends}})
		}
	}
}

// performedLocked notes how far subscribers have caught up. Those whose sockets
// are busy rest for a while.
func (t *topic) performedLocked(s *step) {
	for _, c := range s.catchUps {
		sub := c.sub
		if t.subs[sub.socket] != sub {
			continue
		}
		sub.pos += int64(c.sent)
		sub.missed = sub.missed[min(c.sent, len(sub.missed)):]
		switch {
		case c.sent < len(c.items):
			sub.resting = true
			if t.lull == nil {
				t.lull = time.AfterFunc(lullWait, t.rested)
			}
		case c.ends != "":
			t.dropLocked(sub)
		}
	}
}

// rested ends the rest of all subscribers.
func (t *topic) rested() {
	t.mu.Lock()
	t.lull = nil
	for sub := range t.held {
		sub.resting = false
	}
	t.mu.Unlock()
	t.pump()
}

// tell tells sockets, and the watcher, that their subscriptions are over.
func (t *topic) tell(closings []closing) {
	var farewell *adapter.Message
	for i, c := range closings {
		if i == 0 || c.reason != closings[i-1].reason {
			farewell = adapter.NewMessage(closedEnvelope(t.id, c.reason))
		}
		adapter.Send([]*adapter.Message{farewell}, c.sub.socket)
		if c.sub.watched() && t.feed.watcher != nil {
			t.feed.watcher.Unsubscribed(t.id, c.sub.socket.UserID(), c.reason)
		}
	}
}

// closedEnvelope returns group:closed.
func closedEnvelope(groupID, reason string) adapter.Envelope {
	data := rawjson.AppendString([]byte(`{"groupId":`), groupID)
	data = rawjson.AppendString(append(data, `,"reason":`...), reason)
	return adapter.Envelope{Room: group.Room(groupID), Event: group.EventClosed, Data: append(data, '}')}
}

// fenceLocked returns a channel that is closed once everything that was decided
// before has been sent; nil when it has been.
func (t *topic) fenceLocked() <-chan struct{} {
	if !t.sending && len(t.closings) == 0 {
		return nil
	}
	fence := make(chan struct{})
	t.fences = append(t.fences, fence)
	return fence
}

// retireLocked reports, once, that nobody is subscribed any more.
func (t *topic) retireLocked() bool {
	if t.gone || len(t.subs) > 0 {
		return false
	}
	t.gone = true
	return true
}
