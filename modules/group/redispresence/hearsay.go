package redispresence

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// hearsayEvery is how long what the second server said is gathered.
const hearsayEvery = 100 * time.Millisecond

// hearsay is what the second server said of users, until the one that is asked
// has said what it thinks of them.
type hearsay struct {
	bridge *Bridge
	wake   chan struct{}

	mu   sync.Mutex
	said map[string]map[string]group.PresenceChange // by group and user
}

func newHearsay(b *Bridge) *hearsay {
	return &hearsay{bridge: b, wake: make(chan struct{}, 1), said: make(map[string]map[string]group.PresenceChange)}
}

func (h *hearsay) addAll(changes map[attendee]group.PresenceChange) {
	for of, c := range changes {
		h.add(of.groupID, c)
	}
}

func (h *hearsay) add(groupID string, changes ...group.PresenceChange) {
	h.mu.Lock()
	if h.said[groupID] == nil {
		h.said[groupID] = make(map[string]group.PresenceChange)
	}
	for _, c := range changes {
		h.said[groupID][c.UserID] = c
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *hearsay) run(ctx context.Context) {
	timer := time.NewTimer(hearsayEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		timer.Reset(hearsayEvery)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		h.mu.Lock()
		said := maps.Clone(h.said)
		clear(h.said)
		h.mu.Unlock()
		for groupID, users := range said {
			if err := h.check(ctx, groupID, users); err != nil && ctx.Err() == nil {
				h.again(groupID, users)
			}
		}
	}
}

// again keeps what could not be looked at, unless more was said.
func (h *hearsay) again(groupID string, users map[string]group.PresenceChange) {
	h.mu.Lock()
	maps.Copy(users, h.said[groupID])
	h.said[groupID] = users
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// check passes on what is true. Of what is not, the server that is not up to
// date yet says more when it is.
func (h *hearsay) check(ctx context.Context, groupID string, users map[string]group.PresenceChange) error {
	present, err := h.bridge.List(ctx, groupID)
	if err != nil {
		return err
	}
	known := make(map[string]group.Present, len(users))
	for _, p := range present {
		if _, is := users[p.UserID]; is {
			known[p.UserID] = p
		}
	}
	var told []group.PresenceChange
	for userID, c := range users {
		p, is := known[userID]
		if !is {
			p.Status = group.StatusOffline
		} else { // what happened while it was read is newer
			c.State, c.At = p.State, p.AsOf.Add(-time.Millisecond)
		}
		// Who is on dead nodes alone is listed as reconnecting before they are: they are
		// told when those are swept.
		if p.Status == c.Status && (p.Status != group.StatusReconnecting || p.LastSeenAt != nil) {
			told = append(told, c)
		}
	}
	if len(told) > 0 {
		h.bridge.tell(groupID, told)
	}
	return nil
}
