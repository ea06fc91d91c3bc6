package group

import (
	"context"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// inlineSockets and inlineSteps bound what a caller sends itself, because a
	// goroutine of its own would cost more than it sends: to so few sockets, a
	// few times. All else is left to a goroutine, so that nobody who serves
	// other groups as well waits for a large or a busy one.
	inlineSockets = 64
	inlineSteps   = 4

	// catchUpEvents and catchUpBytes bound what one subscriber that catches up
	// is sent before the next step.
	catchUpEvents = 32
	catchUpBytes  = 64 << 10

	// lullWait is how long a subscriber that is behind rests when its socket is
	// busy.
	lullWait = 20 * time.Millisecond
)

// step is what a topic sends next: decided under its lock, sent outside of it,
// in the order of its fields.
type step struct {
	closings []closing       // subscriptions that are over
	fences   []chan struct{} // whoever waits until everything before has been sent
	event    *item           // the event after head; nil: there is none
	live     []adapter.Socket
	endings  []closing // subscriptions that the event ends
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
	return s.event == nil && len(s.closings) == 0 && len(s.fences) == 0 && len(s.catchUps) == 0
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
	t.mu.Lock()
	if t.sending {
		t.mu.Unlock()
		return
	}
	t.proceed(false, true)
}

// proceed sends step after step. With gather the first event may wait for those
// that follow. inline says that the goroutine is somebody else's. The lock is
// held when it is called, and not when it returns.
func (t *topic) proceed(gather, inline bool) {
	for steps := 0; ; steps++ {
		s := t.nextLocked()
		t.sending, t.telling = !s.empty(), s.tells()
		if s.empty() {
			gone := t.retireLocked()
			t.mu.Unlock()
			if gone {
				t.feed.forget(t)
				t.feed.out.Unwatch(t.room) // the Watch is over: its caller was a subscriber
			}
			return
		}
		t.mu.Unlock()
		if inline && (steps == inlineSteps || s.size() > inlineSockets) {
			send := func(context.Context) {
				t.perform(s, gather)
				t.mu.Lock()
				t.performedLocked(s)
				t.proceed(true, false)
			}
			if t.feed.tasks.Run(send) {
				return
			}
		}
		t.perform(s, gather)
		// An event that came meanwhile may be gathered with what follows: else,
		// where to write to all of a large group takes longer than sockets
		// gather for, each would be written alone, and none in time.
		gather = true
		t.mu.Lock()
		t.performedLocked(s)
	}
}

// nextLocked decides what to send next.
func (t *topic) nextLocked() *step {
	s := &step{closings: t.closings, fences: t.fences}
	t.closings, t.fences = nil, nil
	t.takeEventLocked(s)
	t.takeCatchUpsLocked(s)
	t.awaitLocked()
	t.wakeLocked()
	return s
}

// takeEventLocked takes the event after head, if it is there.
func (t *topic) takeEventLocked(s *step) {
	it := t.early[t.head+1]
	if !t.known || it == nil {
		return
	}
	delete(t.early, it.version)
	t.head = it.version
	t.calmLocked()
	switch it.typ {
	case GroupEnded, GroupDeleted:
		t.over = true
	case GroupUpdated: // of an ended group nothing but its end can be moved
		t.over = false
	}
	s.event, s.live = it, t.feed.out.Sockets(t.room)
	if len(t.held) > 0 {
		t.recent = append(t.recent, it)
		t.recentBytes += len(it.wire)
		t.trimLocked()
	}
	user, reason := it.ends()
	if reason == "" {
		return
	}
	t.forgetLocked(user)
	for _, sub := range t.subs {
		if _, held := t.held[sub]; !held && sub.endedBy(it, user) {
			t.dropLocked(sub)
			s.endings = append(s.endings, closing{sub, reason})
		}
	}
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
		if size += len(it.wire); len(c.items) == catchUpEvents || size > catchUpBytes && len(c.items) > 0 {
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
func (t *topic) perform(s *step, gather bool) {
	t.tell(s.closings)
	for _, fence := range s.fences {
		close(fence)
	}
	if s.event != nil {
		s.event.send(s.live, gather)
		t.tell(s.endings)
	}
	for i := range s.catchUps {
		c := &s.catchUps[i]
		for c.sent < len(c.items) && !c.sub.socket.Busy() {
			c.items[c.sent].sendTo(c.sub.socket, len(c.items) > 1)
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
		farewell.SendTo(c.sub.socket, false)
		if c.sub.watched() && t.feed.watcher != nil {
			t.feed.watcher.Unsubscribed(t.id, c.sub.socket, c.reason)
		}
	}
}

// closedEnvelope returns group:closed.
func closedEnvelope(groupID, reason string) adapter.Envelope {
	data := rawjson.AppendString([]byte(`{"groupId":`), groupID)
	data = rawjson.AppendString(append(data, `,"reason":`...), reason)
	return adapter.Envelope{Room: Room(groupID), Event: eventClosed, Data: append(data, '}')}
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
