package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/group"
)

const (
	// sharedAge is how long a page may answer later subscribers.
	sharedAge = 2 * time.Second
	// sharedSlack is how many earlier events a page includes if another page was read
	// lately. Sockets that come back together have missed slightly different numbers of
	// events, and one page should answer them all.
	sharedSlack = 128
	// maxShared limits the bytes of all topics' pages. eventBytes is added for each event's
	// overhead.
	maxShared  = 32 << 20
	eventBytes = 256
)

// sharedPage is a page of the log with all events after since. Until the group changes, it
// answers later subscribers, and only their memberships are read.
type sharedPage struct {
	excerpt // without members; never modified
	since   int64
	at      time.Time
	size    int64 // bytes
}

// page returns a page of the log with the events after since and the memberships of users.
// The memberships are read after the call begins.
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

// errNotAnEvent means that the log has an event that cannot be encoded.
var errNotAnEvent = errors.New("an event of the log cannot be encoded")

// excerpt returns a page with its events encoded for delivery.
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

// again returns last with the memberships of users. It returns false if the group has
// changed since.
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

// widen moves the start of a read back to include earlier events, unless the limit would
// then cut off the newest ones.
func (p *sharedPage) widen(since int64, limit int) int64 {
	if limit == 0 {
		return since
	}
	return min(since, max(since-sharedSlack, p.Group.Version-int64(limit)+sharedSlack, 0))
}

// share keeps a page for later subscribers if it is complete and small.
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

// shareLocked replaces the shared page; p may be nil. A topic without subscribers keeps
// none, because the feed may drop the topic.
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

// unshare drops the shared page if it is too old.
func (t *topic) unshare() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared != nil && time.Since(t.shared.at) >= sharedAge {
		t.shareLocked(nil)
	}
}
