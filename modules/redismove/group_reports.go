package redismove

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

// reportsEvery is how long reports of the second server are collected.
const reportsEvery = 100 * time.Millisecond

// remoteReports are transitions that the second server has reported, until the primary
// confirms or denies them.
type remoteReports struct {
	part *GroupPart
	wake chan struct{}

	mu      sync.Mutex
	byGroup map[string]map[string]group.PresenceChange // by group and user
}

func newRemoteReports(p *GroupPart) *remoteReports {
	return &remoteReports{part: p, wake: make(chan struct{}, 1), byGroup: make(map[string]map[string]group.PresenceChange)}
}

func (r *remoteReports) addAll(transitions map[member]group.PresenceChange) {
	for of, c := range transitions {
		r.add(of.groupID, c)
	}
}

func (r *remoteReports) add(groupID string, changes ...group.PresenceChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byGroup[groupID] == nil {
		r.byGroup[groupID] = make(map[string]group.PresenceChange)
	}
	for _, c := range changes {
		r.byGroup[groupID][c.UserID] = c
	}
	tasks.Wake(r.wake)
}

func (r *remoteReports) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		if !tasks.Pause(ctx, reportsEvery) {
			return
		}
		r.mu.Lock()
		reports := maps.Clone(r.byGroup)
		clear(r.byGroup)
		r.mu.Unlock()
		for groupID, users := range reports {
			if err := r.check(ctx, groupID, users); err != nil && ctx.Err() == nil {
				r.retry(groupID, users)
			}
		}
	}
}

// retry keeps reports that could not be checked, unless there are newer ones.
func (r *remoteReports) retry(groupID string, users map[string]group.PresenceChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(users, r.byGroup[groupID])
	r.byGroup[groupID] = users
	tasks.Wake(r.wake)
}

// check passes on the reports that the primary confirms. If it does not, one server is
// behind, and will report the transition when it has caught up.
func (r *remoteReports) check(ctx context.Context, groupID string, users map[string]group.PresenceChange) error {
	present, err := r.part.List(ctx, groupID)
	if err != nil {
		return err
	}
	known := make(map[string]group.Present, len(users))
	for _, p := range present {
		known[p.UserID] = p
	}
	var confirmed []group.PresenceChange
	for userID, c := range users {
		p, is := known[userID]
		if !is {
			p.Status = group.StatusOffline
		} else { // a change during the read is newer
			c.State, c.At = p.State, p.AsOf.Add(-time.Millisecond)
		}
		// A user who is only on dead nodes is listed as reconnecting too early. The
		// transition is reported when those nodes are swept.
		if p.Status == c.Status && (p.Status != group.StatusReconnecting || p.LastSeenAt != nil) {
			confirmed = append(confirmed, c)
		}
	}
	if len(confirmed) > 0 {
		r.part.tell(groupID, confirmed)
	}
	return nil
}
