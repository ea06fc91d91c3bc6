package group

import (
	"context"
	"time"
)

const (
	// sharedAge is after how long a page is forgotten, at the next check of
	// silence.
	sharedAge = 2 * time.Second
	// sharedSlack is how many events more a page begins with when another one
	// was read lately: of sockets that come back together each has seen a little
	// more or less than the others.
	sharedSlack = 128
)

// sharedPage is a page of the log with all events after since, unless they are
// large. It answers those who come soon after, while the group stays what it
// was: of them only the memberships are read.
type sharedPage struct {
	LogPage // without members; it is not modified
	since   int64
	at      time.Time
}

// page returns a page of the log as of a moment after the call, from which
// users can be answered who lack the events after since.
func (t *topic) page(ctx context.Context, since int64, limit int, users []string) (LogPage, error) {
	t.mu.Lock()
	last, head := t.shared, t.head
	t.mu.Unlock()
	if last != nil && last.since <= since && head <= last.Group.Version {
		page, still, err := t.again(ctx, last, users)
		if still || err != nil {
			return page, err
		}
	}
	if last != nil && limit > 0 {
		since = max(since-sharedSlack, 0)
	}
	page, err := t.load(ctx, since, limit, users)
	if err == nil && page.small() && (limit == 0 || len(page.Events) < limit) {
		t.share(page, since)
	}
	return page, err
}

// small reports whether the events are no more than one answer holds.
func (p LogPage) small() bool {
	size := 0
	for _, e := range p.Events {
		size += len(e.Data)
	}
	return size <= answerBytes
}

// again returns last with the memberships of users, or reports that the group
// has changed since.
func (t *topic) again(ctx context.Context, last *sharedPage, users []string) (page LogPage, still bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	st, err := t.feed.store.Standings(ctx, t.id, users)
	if err != nil || st.Version != last.Group.Version || st.Deleted != last.Deleted {
		return LogPage{}, false, err
	}
	page = last.LogPage
	page.Members = st.Members
	return page, true, nil
}

func (t *topic) share(page LogPage, since int64) {
	page.Members = nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shared = &sharedPage{LogPage: page, since: since, at: time.Now()}
}

// unshare forgets a page that is too old.
func (t *topic) unshare() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared != nil && time.Since(t.shared.at) >= sharedAge {
		t.shared = nil
	}
}
