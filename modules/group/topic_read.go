package group

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/moim-live/moim/modules/fault"
)

const (
	// readTimeout bounds one read that several wait for.
	readTimeout = 5 * time.Second
	// lullWait is how long a busy socket is left alone before more is sent that
	// could wait.
	lullWait = 20 * time.Millisecond
	// restWait is how long after a read for waiting subscribers the next one
	// begins at the earliest: who comes after a quiet moment waits for nobody.
	// After a read for many it is longer, by a restShare of restWait for each
	// of them and up to restMost: when all come back at once, few reads answer
	// them.
	restWait  = 10 * time.Millisecond
	restShare = 8
	restMost  = 250 * time.Millisecond
)

var errStopped = fault.ErrUnavailable.WithMessage("this node is stopping; connect again")

// awaitLocked gives a hole a moment to close by itself.
func (t *topic) awaitLocked() {
	if t.known && t.gap == nil && !t.due {
		t.gap = time.AfterFunc(gapWait, t.overdue)
	}
}

func (t *topic) overdue() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap = nil
	t.paused = false
	t.due = t.known && t.head < t.target && len(t.subs) > 0
	t.wakeLocked()
}

// calmLocked says that no hole stands.
func (t *topic) calmLocked() {
	t.due = false
	if t.gap != nil && !t.paused {
		t.gap.Stop()
		t.gap = nil
	}
}

// pauseLocked puts off reading after a failure.
func (t *topic) pauseLocked() {
	t.paused = true
	if t.gap != nil {
		t.gap.Stop()
	}
	t.gap = time.AfterFunc(retryWait, t.overdue)
}

// hungryLocked reports whether a hole or a held subscriber needs the log, and
// after which version. The hole comes first: everyone waits for it. A
// subscriber whose socket is busy is asked again in a while.
func (t *topic) hungryLocked() (from int64, hungry bool) {
	if t.paused || !t.known {
		return 0, false
	}
	if t.due && t.head < t.target {
		return t.head, true
	}
	from = math.MaxInt64
	for sub := range t.held {
		switch {
		case !sub.released || sub.pos >= t.head:
		case !sub.socket.Busy():
			from = min(from, sub.pos)
		case t.lull == nil:
			t.lull = time.AfterFunc(lullWait, t.rested)
		}
	}
	return from, from != math.MaxInt64
}

func (t *topic) rested() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lull = nil
	t.wakeLocked()
}

// askedLocked reports whether subscribers wait for a read that may begin.
func (t *topic) askedLocked() bool {
	if len(t.waiting) == 0 {
		return false
	}
	left := time.Until(t.restEnd)
	if left > 0 && t.rest == nil {
		t.rest = time.AfterFunc(left, t.gathered)
	}
	return left <= 0
}

func (t *topic) gathered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = nil
	t.wakeLocked()
}

// wakeLocked starts the reading goroutine if there is something to read.
func (t *topic) wakeLocked() {
	if _, hungry := t.hungryLocked(); t.reading || !hungry && !t.askedLocked() {
		return
	}
	if t.reading = t.feed.tasks.Run(t.read); !t.reading {
		finish(t.waiting, nil, errStopped)
		t.waiting = nil
	}
}

// read reads the log until nobody needs it.
func (t *topic) read(ctx context.Context) {
	for {
		t.mu.Lock()
		var batch []*waiter
		if t.askedLocked() {
			batch, t.waiting = t.waiting, nil
		}
		from, hungry := t.hungryLocked()
		head, target := t.head, t.target
		if len(batch) == 0 && !hungry {
			t.reading = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()

		if len(batch) > 0 {
			t.answerAll(ctx, batch, head)
			continue
		}
		page, err := t.load(ctx, from, catchUpLimit, nil)
		items, readable := t.feed.items(page.Events)
		t.mu.Lock()
		if readable {
			t.fillLocked(page, items, err, from, head, target)
		} else {
			t.resyncLocked()
		}
		t.mu.Unlock()
		t.feed.collect(t)
	}
}

func (t *topic) load(ctx context.Context, since int64, limit int, users []string) (LogPage, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	t.feed.reads.Add(1)
	return t.feed.store.Read(ctx, t.id, since, limit, users)
}

// answerAll reads once for everyone in batch.
func (t *topic) answerAll(ctx context.Context, batch []*waiter, floor int64) {
	since, limit := int64(math.MaxInt64), 0
	users := make([]string, 0, len(batch))
	for _, w := range batch {
		users = append(users, w.user)
		if w.since != nil {
			since, limit = min(since, max(*w.since, 0)), catchUpLimit
		}
	}
	page, err := t.page(ctx, since, limit, users)
	t.mu.Lock()
	if err == nil {
		t.learnLocked(page.Group.Version, floor)
	}
	t.restEnd = time.Now().Add(restAfter(len(batch)))
	t.mu.Unlock()
	finish(batch, &page, err)
}

// restAfter returns how long to rest after a read for n.
func restAfter(n int) time.Duration {
	return min(max(restWait, restWait*time.Duration(n)/restShare), restMost)
}

func finish(batch []*waiter, page *LogPage, err error) {
	for _, w := range batch {
		w.page, w.err = page, err
		close(w.done)
	}
}

// learnLocked takes the group's version from a read that began when this node
// had delivered floor.
func (t *topic) learnLocked(version, floor int64) {
	t.heardLocked(version, floor)
	if t.known {
		return
	}
	// Nobody is live yet: the stream begins here.
	t.known, t.head = true, version
	t.target = max(t.target, version)
	for v := range t.early {
		if v <= version {
			delete(t.early, v)
		}
	}
	t.drainLocked()
	if t.head < t.target {
		t.awaitLocked()
	}
}

// items returns events of the log as they are delivered, or reports that one
// cannot be.
func (f *Feed) items(events []Event) ([]item, bool) {
	items := make([]item, len(events))
	for i, e := range events {
		it, err := newItem(e)
		if err != nil {
			f.logger.Error("group: an event cannot be encoded", "group", e.GroupID, "version", e.Version, "err", err)
			return nil, false
		}
		items[i] = f.program.event(it, f.logger)
	}
	return items, true
}

// fillLocked applies a page of the log with its items, read after version from,
// when this node had delivered head and heard of target.
func (t *topic) fillLocked(page LogPage, items []item, err error, from, head, target int64) {
	switch {
	case errors.Is(err, fault.ErrNotFound):
		t.resyncLocked()
		return
	case err != nil:
		t.feed.logger.Warn("group: the log cannot be read; trying again", "group", t.id, "err", err)
		t.pauseLocked()
		return
	case page.Group.Version < head:
		t.resyncLocked()
		return
	case page.Group.Version > from && page.first() > from+1:
		t.truncatedLocked(page.first())
		return
	}
	for _, it := range items {
		if it.version == t.head+1 {
			t.deliverLocked(it, true)
		}
		for sub := range t.held {
			if sub.released {
				t.sendLocked(sub, it)
			}
		}
	}
	if len(page.Events) < catchUpLimit && t.target <= target {
		t.target = t.head // the log is the truth: there is no more
	}
	t.drainLocked()
	for sub := range t.held {
		if sub.released {
			t.advanceLocked(sub)
		}
	}
	t.trimLocked()
}

// first returns the oldest version that the log can give.
func (p LogPage) first() int64 {
	if p.First == 0 {
		return p.Group.Version + 1
	}
	return p.First
}

// truncatedLocked ends the subscriptions that need events which the log does
// not hold any more.
func (t *topic) truncatedLocked(first int64) {
	if t.head < first-1 && t.head < t.target {
		t.resyncLocked()
		return
	}
	for sub := range t.held {
		if sub.released && sub.pos < first-1 {
			t.closeLocked(sub, endResync)
		}
	}
}
