package feed

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	// readTimeout bounds one read of the log.
	readTimeout = 5 * time.Second
	// After a read for n waiting subscribers, the next one begins restWait*n/restShare
	// later, but at least restWait and at most restMost. So a few reads answer all
	// subscribers that come back at once, and a single subscriber rarely waits.
	restWait  = 10 * time.Millisecond
	restShare = 8
	restMost  = 250 * time.Millisecond
)

var errStopped = fault.ErrUnavailable.WithMessage("this node is stopping; connect again")

// hasGapLocked reports whether the event after head is missing.
func (t *topic) hasGapLocked() bool {
	return t.known && t.head < t.target && t.early[t.head+1] == nil
}

// startGapTimerLocked starts a timer if there is a gap. Most gaps close before it fires.
func (t *topic) startGapTimerLocked() {
	if t.hasGapLocked() && t.gap == nil && !t.due {
		t.gap = time.AfterFunc(gapWait, t.gapTimedOut)
	}
}

func (t *topic) gapTimedOut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap = nil
	t.paused = false
	t.due = t.hasGapLocked() && len(t.subs) > 0
	t.wakeLocked()
}

// stopGapTimerLocked stops the timer of a gap that has closed.
func (t *topic) stopGapTimerLocked() {
	t.due = false
	if t.gap != nil && !t.paused {
		t.gap.Stop()
		t.gap = nil
	}
}

// pauseLocked delays the next read after a failure.
func (t *topic) pauseLocked() {
	t.paused = true
	if t.gap != nil {
		t.gap.Stop()
	}
	t.gap = time.AfterFunc(retryWait, t.gapTimedOut)
}

// needsEventsLocked reports whether the log must be read to close a gap or for a held
// subscriber, and after which version. A gap comes first, because all live subscribers wait
// for it.
func (t *topic) needsEventsLocked() (from int64, needed bool) {
	if t.paused || !t.known {
		return 0, false
	}
	if t.due && t.hasGapLocked() {
		return t.head, true
	}
	from = math.MaxInt64
	for sub := range t.held {
		if sub.released && !sub.resting && sub.pos < t.head && len(t.missingLocked(sub)) == 0 {
			from = min(from, sub.pos)
		}
	}
	return from, from != math.MaxInt64
}

// mayAnswerLocked reports whether subscribers wait for an answer and the read may begin now.
func (t *topic) mayAnswerLocked() bool {
	if len(t.waiting) == 0 {
		return false
	}
	left := time.Until(t.restEnd)
	if left > 0 && t.rest == nil {
		t.rest = time.AfterFunc(left, t.restOver)
	}
	return left <= 0
}

func (t *topic) restOver() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = nil
	t.wakeLocked()
}

// wakeLocked starts the reading goroutine if there is something to read.
func (t *topic) wakeLocked() {
	if _, needed := t.needsEventsLocked(); t.reading || !needed && !t.mayAnswerLocked() {
		return
	}
	if t.reading = t.feed.tasks.Run(t.read); !t.reading {
		finish(t.waiting, nil, errStopped)
		t.waiting = nil
	}
}

// read reads the log until nothing more is needed.
func (t *topic) read(ctx context.Context) {
	for {
		t.mu.Lock()
		var batch []*waiter
		if t.mayAnswerLocked() {
			batch, t.waiting = t.waiting, nil
		}
		from, needed := t.needsEventsLocked()
		seen := view{epoch: t.epoch, delivered: t.deliveredLocked(), target: t.target}
		if len(batch) == 0 && !needed {
			t.reading = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		if len(batch) > 0 {
			t.answerAll(ctx, batch, seen)
		} else {
			t.fill(ctx, from, seen)
		}
		t.pump()
	}
}

// view is the state of a topic when a read of the log began.
type view struct {
	epoch             int
	delivered, target int64
}

// fetch reads a page of the log.
func (t *topic) fetch(ctx context.Context, since int64, limit int, users []string) (*excerpt, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	t.feed.reads.Add(1)
	read, err := t.feed.store.Read(ctx, t.id, since, limit, users)
	if err != nil {
		return nil, err
	}
	return t.feed.excerpt(read)
}

// answerAll answers all waiters of batch from one read.
func (t *topic) answerAll(ctx context.Context, batch []*waiter, seen view) {
	since, limit := int64(math.MaxInt64), 0
	users := make([]string, 0, len(batch))
	for _, w := range batch {
		users = append(users, w.user)
		if w.since != nil {
			since, limit = min(since, max(*w.since, 0)), catchUpLimit
		}
	}
	p, err := t.page(ctx, since, limit, users)
	t.mu.Lock()
	if err == nil {
		p.epoch = seen.epoch
	}
	if err == nil && t.epoch == seen.epoch {
		t.setVersionLocked(p.Group.Version, seen.delivered)
	}
	t.restEnd = time.Now().Add(restAfter(len(batch)))
	t.mu.Unlock()
	finish(batch, p, err)
}

// restAfter returns how long to rest after a read for n waiters.
func restAfter(n int) time.Duration {
	return min(max(restWait, restWait*time.Duration(n)/restShare), restMost)
}

func finish(batch []*waiter, p *excerpt, err error) {
	for _, w := range batch {
		w.page, w.err = p, err
		close(w.done)
	}
}

// setVersionLocked records the group's version according to a read of the log. delivered is
// what subscribers knew before the read.
func (t *topic) setVersionLocked(version, delivered int64) {
	t.reportedLocked(version, delivered)
	if t.known {
		return
	}
	// No subscriber is live yet: delivery begins at this version.
	t.known, t.head = true, version
	t.target = max(t.target, version)
	for v := range t.early {
		if v <= version {
			delete(t.early, v)
		}
	}
}

// fill reads the log after version from, to close a gap or for held subscribers.
func (t *topic) fill(ctx context.Context, from int64, seen view) {
	p, err := t.fetch(ctx, from, catchUpLimit, nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.epoch != seen.epoch: // a resync has ended the subscriptions
	case errors.Is(err, fault.ErrNotFound), errors.Is(err, errNotAnEvent):
		t.resyncLocked()
	case err != nil:
		t.feed.logger.WarnContext(ctx, "group: cannot read the log; retrying", "group", t.id, "err", err)
		t.pauseLocked()
	case p.Group.Version < seen.delivered:
		t.resyncLocked()
	case p.Group.Version > from && p.first() > from+1:
		t.truncatedLocked(p.first())
	default:
		t.fillLocked(p, seen)
	}
}

// fillLocked distributes a page of the log: events above head to all subscribers, and other
// events to the held subscribers that lack them.
func (t *topic) fillLocked(p *excerpt, seen view) {
	for _, it := range p.items {
		if it.version > t.head && t.early[it.version] == nil {
			t.early[it.version] = it
		}
	}
	for sub := range t.held {
		if sub.released && !sub.resting && len(sub.missed) <= catchUpLimit {
			sub.missed = append(sub.missed, itemsAfter(p.items, sub.reached())...)
		}
	}
	if len(p.items) < catchUpLimit && t.target <= seen.target {
		t.target = max(t.head, p.Group.Version) // the log has no later events
	}
}

// truncatedLocked ends the subscriptions that need events older than first, the oldest
// version in the log.
func (t *topic) truncatedLocked(first int64) {
	if t.head < first-1 && t.hasGapLocked() {
		t.resyncLocked()
		return
	}
	for sub := range t.held {
		if sub.released && sub.pos < first-1 && len(t.missingLocked(sub)) == 0 {
			t.endLocked(sub, group.EndResync)
		}
	}
}
