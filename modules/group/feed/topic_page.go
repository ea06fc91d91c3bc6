package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/group"
)

const (
	// sharedAge is how long a page is answered from. It is forgotten at the next
	// check of silence.
	sharedAge = 2 * time.Second
	// sharedSlack is how many events more a page begins with when another one
	// was read lately: of sockets that come back together each has seen a little
	// more or less than the others.
	sharedSlack = 128
	// maxShared bounds the bytes that all topics' pages hold, eventBytes is what an event
	// counts for besides its data.
	maxShared  = 32 << 20
	eventBytes = 256
)

// sharedPage is a page of the log with all events after since. It answers those
// who come soon after, while the group stays what it was: of them only the
// memberships are read.
type sharedPage struct {
	excerpt // without members; it is not modified
	since   int64
	at      time.Time
	size    int64 // bytes
}

// page returns a page of the log as of a moment after the call, from which
// users can be answered who lack the events after since.
func (t *topic) page(ctx context.Context, since int64, limit int, users []string) (*excerpt, error) {
	t.mu.Lock()
	last, head := t.shared, t.head
	t.mu.Unlock()
	if last != nil && time.Since(last.at) < sharedAge {
		if last.since <= since && head <= last.Group.Version {
			p, still, err := t.again(ctx, last, users)
			if still || err != nil {
				return p, err
			}
		}
		since = last.widen(since, limit)
	}
	p, err := t.fetch(ctx, since, limit, users)
	if err == nil {
		t.share(*p, since, limit)
	}
	return p, err
}

// errNotAnEvent says that the log holds what cannot be sent.
var errNotAnEvent = errors.New("an event of the log cannot be encoded")

// excerpt returns a page that was read, with its events as they are delivered.
func (f *Feed) excerpt(read group.LogPage) (*excerpt, error) {
	items := make([]*item, len(read.Events))
	for i, e := range read.Events {
		it, err := newItem(e)
		if err != nil {
			return nil, fmt.Errorf("%w: version %d of group %s: %w", errNotAnEvent, e.Version, e.GroupID, err)
		}
		items[i] = f.translated(it)
	}
	read.Events = nil
	return &excerpt{LogPage: read, items: items}, nil
}

// again returns last with the memberships of users, or reports that the group
// has changed since.
func (t *topic) again(ctx context.Context, last *sharedPage, users []string) (p *excerpt, still bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	st, err := t.feed.store.Memberships(ctx, t.id, users)
	if err != nil || st.Version != last.Group.Version || !st.MovedAt.Equal(last.MovedAt) || st.Deleted != last.Deleted {
		return nil, false, err
	}
	again := last.excerpt
	again.Members = st.Members
	return &again, true, nil
}

// widen lets a read begin a little earlier, unless that would leave out the
// newest events.
func (p *sharedPage) widen(since int64, limit int) int64 {
	if limit == 0 {
		return since
	}
	return min(since, max(since-sharedSlack, p.Group.Version-int64(limit)+sharedSlack, 0))
}

// share keeps a page that was read after version since for those who come next,
// if it is whole and small.
func (t *topic) share(read excerpt, since int64, limit int) {
	read.Members = nil
	p := &sharedPage{excerpt: read, since: since, at: time.Now()}
	for _, it := range read.items {
		p.size += int64(len(it.wire) + eventBytes)
	}
	if p.size > missedBytes || limit > 0 && len(read.items) == limit {
		p = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shareLocked(p)
}

// shareLocked replaces the page, with nil by none. A topic that nobody follows
// keeps none: it may be forgotten.
func (t *topic) shareLocked(p *sharedPage) {
	total := &t.feed.sharedBytes
	if t.shared != nil {
		total.Add(-t.shared.size)
	}
	if p != nil && (len(t.subs) == 0 || total.Load()+p.size > maxShared) {
		p = nil
	}
	if t.shared = p; p != nil {
		total.Add(p.size)
	}
}

// unshare forgets a page that is too old.
func (t *topic) unshare() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared != nil && time.Since(t.shared.at) >= sharedAge {
		t.shareLocked(nil)
	}
}
