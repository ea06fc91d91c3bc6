package presence

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

const (
	retryPresence = time.Second // wait after a failed write to the store

	// maxItems and maxPush bound the number of items in one push, and their bytes. The rest
	// follows in the next window.
	maxItems = 1000
	maxPush  = 64 << 10

	// A group with more than maxNamed members online gets their number only, and no names.
	// This lasts until stayLarge after it last had so many. Otherwise it would get
	// everybody's name when they come back together.
	maxNamed  = 1000
	stayLarge = time.Minute

	// When all members of a group come back, each one is told of all others, so the cost
	// grows with the square of the members. To limit it, a push to a large group is
	// followed by a rest of members/membersAWindow windows, at most maxWindows.
	membersAWindow = 50
	maxWindows     = 10
)

// loop calls flush once a window while there are changes.
func (p *Tracker) loop(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		if !tasks.Pause(ctx, p.window) {
			return
		}
		if !p.flush(ctx) {
			if !tasks.Pause(ctx, retryPresence) {
				return
			}
			p.mu.Lock()
			p.wakeLocked()
			p.mu.Unlock()
		}
	}
}

// flush writes this node's changes to the store, and reports changes on any node to
// subscribers. It returns false if the write failed.
func (p *Tracker) flush(ctx context.Context) bool {
	changes, news := p.take()
	var err error
	if len(changes) > 0 {
		var told []group.PresenceChange
		if told, err = p.store.Apply(ctx, changes); err != nil {
			p.failed.Add(1)
			p.log.DebugContext(ctx, "group: cannot store presence", "changes", len(changes), "err", err)
		}
		p.applied(changes, err == nil)
		gone := make(map[string][]string)
		for i, c := range told {
			if err != nil {
				break
			}
			a := changes[i]
			p.wrote(a, c)
			switch {
			case c.Status != "":
				news.add(a.GroupID, c)
			case !a.Here && news.online(a.GroupID, a.UserID):
				gone[a.GroupID] = append(gone[a.GroupID], a.UserID)
			}
		}
		p.recall(ctx, news, gone)
	}
	p.postpone(news)
	large := p.large(ctx, news)
	for groupID, of := range news {
		if online, is := large[groupID]; is {
			p.tellCount(ctx, groupID, online)
		} else {
			p.tell(ctx, groupID, of)
		}
	}
	return err == nil
}

// recall removes news that users are online who have left since, unless they are online on
// another node. Such news comes from a live state. The store reports no change of a user who
// came and left within a window, so subscribers would never learn that they left.
func (p *Tracker) recall(ctx context.Context, news presenceNews, gone map[string][]string) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for groupID, users := range gone {
		present, _ := p.store.List(ctx, groupID) // after an error: presence may be lost
		online := make(map[string]bool, len(present))
		for i := range present {
			online[present[i].UserID] = present[i].Status == group.StatusOnline
		}
		of := news[groupID]
		maps.DeleteFunc(of.users, func(userID string, _ group.PresenceChange) bool {
			return slices.Contains(users, userID) && !online[userID]
		})
		if len(of.users) == 0 {
			delete(news, groupID)
		}
	}
}

// presenceNews holds the changes to report, by group.
type presenceNews map[string]*groupNews

// groupNews holds the latest change of each user.
type groupNews struct {
	users map[string]group.PresenceChange
	soon  bool // it holds a live state, which must not be postponed
}

// add adds a change, unless there is a later one of the same user.
func (n presenceNews) add(groupID string, c group.PresenceChange) *groupNews {
	of := n[groupID]
	if of == nil {
		of = &groupNews{users: make(map[string]group.PresenceChange)}
		n[groupID] = of
	}
	last := of.users[c.UserID]
	if c.At.Before(last.At) {
		return of
	}
	c.Returned = c.Status == group.StatusOnline && (c.Returned || last.Returned)
	of.users[c.UserID] = c
	return of
}

// online reports whether it holds the news that a user is online.
func (n presenceNews) online(groupID, userID string) bool {
	of := n[groupID]
	return of != nil && of.users[userID].Status == group.StatusOnline
}

// putBack adds older changes of a group to those that came since.
func (n presenceNews) putBack(groupID string, of *groupNews) {
	newer := n[groupID]
	n[groupID] = of
	if newer == nil {
		return
	}
	for _, c := range newer.users {
		n.add(groupID, c)
	}
	of.soon = of.soon || newer.soon
}

// postpone removes the changes of resting groups from news and keeps them for a later
// window.
func (p *Tracker) postpone(news presenceNews) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(p.resting, func(_ string, until time.Time) bool { return !now.Before(until) })
	for groupID, of := range news {
		if _, rests := p.resting[groupID]; rests && !of.soon {
			delete(news, groupID)
			p.news.putBack(groupID, of)
			p.wakeLocked()
			continue
		}
		if rest := restOf(p.window, len(p.groups[groupID])); rest > 0 {
			p.resting[groupID] = now.Add(rest)
		}
	}
}

// restOf returns how long a group with that many members on this node rests after a push.
func restOf(window time.Duration, members int) time.Duration {
	windows := members / membersAWindow
	if windows <= 1 {
		return 0
	}
	// Half a window shorter, so that it is over when the last window ends.
	return window*time.Duration(min(windows, maxWindows)) - window/2
}

// take returns the changes for the store and those for subscribers.
func (p *Tracker) take() ([]Attendance, presenceNews) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes := make([]Attendance, 0, len(p.dirty))
	for key := range p.dirty {
		c := Attendance{GroupID: key.groupID, UserID: key.userID}
		a := p.groups[key.groupID][key.userID]
		if a.unsure, a.again = true, false; a.sockets > 0 {
			c.Here = true
		} else {
			c.Reason, c.Final, c.Forget = a.end.reason, a.end.final, a.end.forget
		}
		changes = append(changes, c)
	}
	clear(p.dirty)
	news := p.news
	p.news = make(presenceNews)
	return changes, news
}

// applied records the result of a write. Users may have come or left meanwhile.
func (p *Tracker) applied(changes []Attendance, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		key := attendanceKey{c.GroupID, c.UserID}
		a := p.attendeeLocked(key)
		if done {
			a.stored, a.unsure, a.again = c.Here, a.again, false
		} else {
			a.unsure = true
		}
		p.checkLocked(key, a)
	}
}
