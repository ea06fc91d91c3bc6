package feed

import (
	"context"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

const (
	// The caller itself sends at most inlineSteps steps to at most inlineSockets sockets
	// each, because a goroutine would cost more. A goroutine sends the rest, so that a
	// caller that also serves other groups does not wait for a large or busy one.
	inlineSockets = 64
	inlineSteps   = 4

	// stepEvents and stepBytes limit what one step sends to a subscriber that catches up.
	// liveEvents and liveBytes limit what it sends to live subscribers. A large change fits
	// into one step.
	stepEvents = 32
	stepBytes  = 64 << 10
	liveEvents = 512
	liveBytes  = 256 << 10

	// A topic that sends for restFrom or longer rests for the same time, but at most
	// longestRest.
	restFrom    = time.Millisecond
	longestRest = 50 * time.Millisecond
)

// step is the next thing that a topic sends, in the order of the fields. It is decided
// under the topic's lock and sent without it.
type step struct {
	closings []closing       // subscriptions that have ended
	fences   []chan struct{} // closed once everything before has been sent
	events   []*item         // the next events for live subscribers
	live     []adapter.Socket
	took     time.Duration // duration of sending events to live
	endings  []closing     // subscriptions that the last event ends
	catchUps []catchUp
}

// catchUp holds the next events of one held subscriber.
type catchUp struct {
	sub   *subscription
	items []*item
	ends  string // if not empty, why the last item ends the subscription
	sent  int
}

func (s *step) size() int { return len(s.live) + len(s.catchUps) + len(s.closings) }

func (s *step) empty() bool {
	return len(s.events) == 0 && len(s.closings) == 0 && len(s.fences) == 0 && len(s.catchUps) == 0
}

// tells reports whether the step sends group:closed.
func (s *step) tells() bool {
	return len(s.closings)+len(s.endings) > 0 ||
		slices.ContainsFunc(s.catchUps, func(c catchUp) bool { return c.ends != "" })
}

// pump sends everything that the topic decides to send. If another goroutine is sending
// already, pump returns: that goroutine checks again before it ends. Call pump without the
// lock after every change of the topic.
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

// sendOn sends s and everything that follows. It runs in its own goroutine.
//
// A topic that takes long to send rests for as long, because other groups need the
// processors, too. Events that arrive meanwhile are sent together, in one write for each
// socket, which costs much less. Catching up does not cause a rest, which would only delay
// it.
func (t *topic) sendOn(ctx context.Context, s *step) {
	for s != nil {
		t.perform(s)
		if s.took >= restFrom {
			tasks.Pause(ctx, min(s.took, longestRest))
		}
		s = t.next(s)
	}
}

// next decides what to send after step done. done is nil if the caller has sent nothing
// yet. next returns nil if there is nothing to send, or if another goroutine is sending.
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
		t.feed.out.Unwatch(t.room) // Watch has returned, because its caller was a subscriber
	}
	return nil
}

func (t *topic) decideLocked() *step {
	s := &step{closings: t.closings, fences: t.fences}
	t.closings, t.fences = nil, nil
	t.takeEventsLocked(s)
	t.takeCatchUpsLocked(s)
	t.startGapTimerLocked()
	t.wakeLocked()
	return s
}

// takeEventsLocked adds to s the events that follow head without a gap. An event that ends
// subscriptions is the last in its step, because only the remaining subscribers get later
// events.
func (t *topic) takeEventsLocked(s *step) {
	size := 0
	for len(s.events) < liveEvents && size < liveBytes && len(s.endings) == 0 {
		it := t.early[t.head+1]
		if !t.known || it == nil {
			return
		}
		if s.live == nil {
			s.live = t.live.Sockets()
		}
		s.events = append(s.events, it)
		size += len(it.wire)
		s.endings = t.takeLocked(it)
	}
}

// takeLocked moves head to an event, and returns the live subscriptions that the event
// ends. Held subscriptions that it ends leave the room at once, and end when they have caught
// up.
func (t *topic) takeLocked(it *item) (endings []closing) {
	delete(t.early, it.version)
	t.head = it.version
	t.stopGapTimerLocked()
	switch it.typ {
	case group.GroupEnded, group.GroupDeleted:
		t.over = true
	case group.GroupUpdated: // the only possible update of an ended group moves its end
		t.over = false
		if it.changesPosting() {
			t.requireCheckLocked("")
		}
	case group.MemberMuted, group.MemberUpdated:
		if user := it.subject(); user != "" {
			t.requireCheckLocked(user)
		}
	case group.MessageEdited, group.MessageDeleted:
		// Recent events may hold the old text of the message. Held subscribers read it from
		// the log again.
		t.recent, t.recentBytes = nil, 0
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
		if !sub.endedBy(it, user) {
			continue
		}
		if _, held := t.held[sub]; held {
			sub.endedAt = it.version
			sub.socket.Leave(t.room)
			continue
		}
		t.dropLocked(sub)
		endings = append(endings, closing{sub, reason})
	}
	return endings
}

// takeCatchUpsLocked adds to s the events that held subscribers lack, as far as they are in
// memory. A subscriber that lacks none becomes live.
func (t *topic) takeCatchUpsLocked(s *step) {
	if !t.known {
		return
	}
	for sub := range t.held {
		if !sub.released || sub.resting {
			continue
		}
		if sub.pos == t.head && !t.behindLocked(sub) {
			t.goLiveLocked(sub)
			continue
		}
		if items := t.missingLocked(sub); len(items) > 0 {
			s.catchUps = append(s.catchUps, sub.catchUp(items))
			continue
		}
		t.target = max(t.target, sub.pos) // the answer is from a later version than head
	}
}

// goLiveLocked makes a held subscriber live.
func (t *topic) goLiveLocked(sub *subscription) {
	delete(t.held, sub)
	sub.missed = nil
	t.live.Add(sub.socket)
	t.trimLocked()
}

// missingLocked returns the events after a held subscriber's position that are in memory.
func (t *topic) missingLocked(sub *subscription) []*item {
	if len(sub.missed) > 0 {
		return sub.missed
	}
	if len(t.recent) == 0 || sub.pos < t.recent[0].version-1 || sub.pos >= t.head || t.behindLocked(sub) {
		return nil
	}
	return t.recent[sub.pos+1-t.recent[0].version:]
}

// behindLocked reports whether the version of a subscriber's answer is above head. Then a
// message in recent may have been edited or deleted before the answer, so the subscriber
// gets the events up to that version from the log.
func (t *topic) behindLocked(sub *subscription) bool { return t.head < sub.since }

// catchUp returns the items that one step sends to the subscriber. An event that ends the
// subscription is the last of them.
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
		ended := time.Now()
		s.took = ended.Sub(began)
		if len(s.live) > 0 {
			t.feed.lateness.observe(ended, s.events)
			t.feed.traced(s, began, ended)
		}
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

// performedLocked records how far subscribers have caught up. A subscriber whose socket is
// busy pauses. Meanwhile it keeps no events in memory, because its client may never read.
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
			sub.resting, sub.missed = true, nil
			sub.socket.WhenFree(func() { t.rested(sub) })
		case c.ends != "":
			t.dropLocked(sub)
		}
	}
}

// rested resumes a subscriber's catch-up.
func (t *topic) rested(sub *subscription) {
	t.mu.Lock()
	sub.resting = false
	t.mu.Unlock()
	t.pump()
}

// tell sends group:closed and tells the watcher.
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

// fenceLocked returns a channel that is closed once everything decided before has been
// sent. It returns nil if nothing is left to send.
func (t *topic) fenceLocked() <-chan struct{} {
	if !t.sending && len(t.closings) == 0 {
		return nil
	}
	fence := make(chan struct{})
	t.fences = append(t.fences, fence)
	return fence
}

// retireLocked returns true once, when the last subscriber has left.
func (t *topic) retireLocked() bool {
	if t.gone || len(t.subs) > 0 {
		return false
	}
	t.gone = true
	return true
}
