package presence

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const (
	// retryPresence is how long after a failure the store is tried again.
	retryPresence = time.Second
	// maxItems bounds one push; many changes are told in several.
	maxItems = 1000

	// Each member who comes is one more to tell of the next, which would make a
	// group's return cost the square of its members. So it is told once in as
	// many windows as it has times membersAWindow here, maxWindows at most.
	membersAWindow = 50
	maxWindows     = 10
)

// loop flushes once a window while there is something to tell.
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

// flush tells the store what changed here, and the subscribers what changed
// anywhere. It reports false when the store did not take it.
func (p *Tracker) flush(ctx context.Context) bool {
	changes, news := p.take()
	var err error
	if len(changes) > 0 {
		var told []group.PresenceChange
		if told, err = p.store.Apply(ctx, changes); err != nil {
			p.failed.Add(1)
			p.log.Debug("group: presence cannot be stored", "changes", len(changes), "err", err)
		}
		p.applied(changes, err == nil)
		for i, c := range told {
			if err == nil && c.Status != "" {
				news.add(changes[i].GroupID, c)
			}
		}
	}
	p.postpone(news)
	for groupID, of := range news {
		p.tell(ctx, groupID, of.users)
	}
	return err == nil
}

// presenceNews is what is to be told, by group.
type presenceNews map[string]*groupNews

// groupNews is the latest of each user.
type groupNews struct {
	users map[string]group.PresenceChange
	soon  bool // there are states: of them a large group is told as often as any
}

// add keeps the latest of what is to be told of a user.
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

// putBack adds what is older than all that there is of a group.
func (n presenceNews) putBack(groupID string, of *groupNews) {
	newer := n[groupID]
	n[groupID] = of
	if newer == nil {
		return
	}
	for _, c := range newer.users {
		n.add(groupID, c)
	}
	of.soon = newer.soon
}

// postpone keeps for later, of what is about to be told, the news of large
// groups that were told a moment ago.
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
		if windows := len(p.groups[groupID]) / membersAWindow; windows > 1 {
			// Not quite as long: the last of these windows is to end after it.
			p.resting[groupID] = now.Add(p.window*time.Duration(min(windows, maxWindows)) - p.window/2)
		}
	}
}

// take returns what is to be told, and to whom it is news.
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

// applied notes what the store knows now. Users may have come and gone since.
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

// encode returns the data of group:presence.
func encode(groupID string, items []group.PresenceChange) (json.RawMessage, error) {
	return rawjson.Marshal(struct {
		GroupID string                 `json:"groupId"`
		Items   []group.PresenceChange `json:"items"`
	}{groupID, items})
}

func (p *Tracker) tell(ctx context.Context, groupID string, users map[string]group.PresenceChange) {
	items := make([]group.PresenceChange, 0, len(users))
	for _, userID := range slices.Sorted(maps.Keys(users)) {
		items = append(items, users[userID])
	}
	for part := range slices.Chunk(items, maxItems) {
		data, err := encode(groupID, part)
		if err != nil {
			p.log.Error("group: a presence change cannot be encoded", "group", groupID, "err", err)
			return
		}
		p.out.Tell(ctx, adapter.Envelope{Room: group.Room(groupID), Event: group.EventPresence, Data: data})
		if p.program.Presence == nil {
			continue
		}
		for _, push := range group.Pushes(func() []group.Push { return p.program.Presence(groupID, part) }, p.out.CheckEvent, p.log) {
			p.out.Tell(ctx, push.Envelope(groupID))
		}
	}
}
