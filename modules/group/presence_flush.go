package group

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// eventPresence tells a group's subscribers who came and went.
const eventPresence = "group:presence"

const (
	// retryPresence is how long after a failure the store is tried again.
	retryPresence = time.Second
	// maxPresenceItems bounds one push; many changes are told in several.
	maxPresenceItems = 1000
)

// loop flushes once a window while there is something to tell.
func (p *Presence) loop(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		if !wait(ctx, p.window) {
			return
		}
		if !p.flush(ctx) {
			if !wait(ctx, retryPresence) {
				return
			}
			p.mu.Lock()
			p.wakeLocked()
			p.mu.Unlock()
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// flush tells the store what changed here, and the subscribers what changed
// anywhere. It reports false when the store did not take it.
func (p *Presence) flush(ctx context.Context) bool {
	changes, news := p.take()
	var told []bool
	var err error
	if len(changes) > 0 {
		if told, err = p.store.Apply(ctx, changes); err != nil {
			p.log.Debug("group: presence cannot be stored", "changes", len(changes), "err", err)
		}
		p.applied(changes, err == nil)
	}
	for i, c := range changes {
		if err != nil || !told[i] {
			continue
		}
		if news[c.GroupID] == nil {
			news[c.GroupID] = make(map[string]bool)
		}
		news[c.GroupID][c.UserID] = c.Here
	}
	for groupID, users := range news {
		p.tell(ctx, groupID, users)
	}
	return err == nil
}

// take returns what is to be told, and to whom it is news.
func (p *Presence) take() ([]Attendance, map[string]map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes := make([]Attendance, 0, len(p.dirty))
	for key := range p.dirty {
		changes = append(changes, Attendance{key.groupID, key.userID, p.groups[key.groupID][key.userID].sockets > 0})
	}
	clear(p.dirty)
	news := p.news
	p.news = make(map[string]map[string]bool)
	return changes, news
}

// applied notes what the store knows now. Users may have come and gone since.
func (p *Presence) applied(changes []Attendance, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		key := attendanceKey{c.GroupID, c.UserID}
		a := p.attendeeLocked(key)
		if done {
			a.stored, a.unsure = c.Here, false
		} else {
			a.unsure = true
		}
		p.checkLocked(key, a)
	}
}

// presenceChange is what subscribers are told.
type presenceChange struct {
	GroupID string         `json:"groupId"`
	Items   []presenceItem `json:"items"`
}

// presenceItem is one change as subscribers are told it.
type presenceItem struct {
	UserID string    `json:"userId"`
	Status string    `json:"status"`
	At     time.Time `json:"at"`
}

func (p *Presence) tell(ctx context.Context, groupID string, users map[string]bool) {
	at := p.now().UTC()
	items := make([]presenceItem, 0, len(users))
	for _, userID := range slices.Sorted(maps.Keys(users)) {
		status := statusOffline
		if users[userID] {
			status = statusOnline
		}
		items = append(items, presenceItem{userID, status, at})
	}
	for part := range slices.Chunk(items, maxPresenceItems) {
		data, err := encode(presenceChange{groupID, part})
		if err != nil {
			p.log.Error("group: a presence change cannot be encoded", "group", groupID, "err", err)
			return
		}
		// The error speaks of other nodes: presence is at most once.
		_ = p.out.Emit(ctx, adapter.Envelope{Room: Room(groupID), Event: eventPresence, Data: data})
	}
}
