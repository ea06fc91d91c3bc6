package presence

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Memory is the [Store] of a node without Redis. It keeps presence in memory, and is safe
// for concurrent use.
type Memory struct {
	tasks *tasks.Group
	wake  chan struct{}
	node  func() string // may be nil

	mu     sync.Mutex
	grace  time.Duration
	groups map[string]*attendance
	queue  []graceEnd // ordered by at
}

// attendance is one group's presence.
type attendance struct {
	online int
	users  map[string]*memberPresence // online or reconnecting
	states map[string]json.RawMessage
	lately map[string]time.Time // users who went offline lately, and when they were last seen
}

type memberPresence struct {
	here   bool
	reason string    // if not here
	since  time.Time // when they left, if not here
}

// graceEnd is the time when the grace ends of a user who left at since.
type graceEnd struct {
	groupID, userID string
	since, at       time.Time
}

// tidyEvery is how often users are removed who went offline more than [LatelyFor] ago.
const tidyEvery = 10 * time.Minute

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		tasks:  tasks.New(),
		wake:   make(chan struct{}, 1),
		groups: make(map[string]*attendance),
	}
}

// SetNode makes lists show the name of this node. Call it before Start. Memory calls node
// only after Start has returned.
func (m *Memory) SetNode(node func() string) { m.node = node }

// Start implements [Store].
func (m *Memory) Start(_ context.Context, grace time.Duration, tell func(string, []group.PresenceChange)) error {
	m.mu.Lock()
	m.grace = grace
	m.mu.Unlock()
	m.tasks.Run(func(ctx context.Context) { m.endGraces(ctx, tell) })
	return nil
}

// Stop implements [Store].
func (m *Memory) Stop(ctx context.Context) error { return m.tasks.Stop(ctx) }

// Apply implements [Store].
func (m *Memory) Apply(_ context.Context, changes []Attendance) ([]group.PresenceChange, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	told := make([]group.PresenceChange, len(changes))
	for i, c := range changes {
		g := m.groups[c.GroupID]
		if g == nil {
			g = newAttendance()
			m.groups[c.GroupID] = g
		}
		if c.Here {
			told[i] = g.come(c.UserID, now)
		} else {
			told[i] = m.goLocked(g, c, now)
		}
		m.dropLocked(c.GroupID, g)
	}
	return told, nil
}

func newAttendance() *attendance {
	return &attendance{
		users:  make(map[string]*memberPresence),
		states: make(map[string]json.RawMessage),
		lately: make(map[string]time.Time),
	}
}

// come marks a user as online.
func (g *attendance) come(userID string, now time.Time) group.PresenceChange {
	p := g.users[userID]
	if p != nil && p.here {
		return group.PresenceChange{At: now.UTC()}
	}
	g.online++
	g.users[userID] = &memberPresence{here: true}
	delete(g.lately, userID)
	return group.PresenceChange{UserID: userID, Status: group.StatusOnline, State: g.states[userID], At: now.UTC(), Returned: p != nil}
}

// goLocked marks a user as reconnecting or offline.
func (m *Memory) goLocked(g *attendance, c Attendance, now time.Time) group.PresenceChange {
	p := g.users[c.UserID]
	if c.Forget {
		delete(g.lately, c.UserID)
	}
	switch {
	case p == nil:
		delete(g.states, c.UserID)
		return group.PresenceChange{At: now.UTC()}
	case p.here:
		g.online--
		p.here, p.since = false, now
	case !c.Final:
		return group.PresenceChange{At: now.UTC()}
	}
	p.reason = c.Reason
	if c.Final {
		return g.offline(c.UserID, now, c.Forget)
	}
	m.queue = append(m.queue, graceEnd{c.GroupID, c.UserID, now, now.Add(m.grace)})
	if len(m.queue) == 1 {
		tasks.Wake(m.wake)
	}
	return group.PresenceChange{UserID: c.UserID, Status: group.StatusReconnecting, Reason: c.Reason, State: g.states[c.UserID], At: now.UTC()}
}

// offline marks a user as offline.
func (g *attendance) offline(userID string, now time.Time, forget bool) group.PresenceChange {
	p := g.users[userID]
	delete(g.users, userID)
	delete(g.states, userID)
	if !forget {
		g.lately[userID] = p.since
	}
	for len(g.lately) > LatelyMax {
		oldest := userID
		for id, at := range g.lately {
			if at.Before(g.lately[oldest]) {
				oldest = id
			}
		}
		delete(g.lately, oldest)
	}
	return group.PresenceChange{UserID: userID, Status: group.StatusOffline, Reason: p.reason, At: now.UTC()}
}

// dropLocked removes a group that has no users left.
func (m *Memory) dropLocked(groupID string, g *attendance) {
	if len(g.users)+len(g.lately)+len(g.states) == 0 {
		delete(m.groups, groupID)
	}
}

// SetState implements [Store].
func (m *Memory) SetState(_ context.Context, groupID, userID string, state json.RawMessage) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[groupID]
	switch {
	case rawjson.IsNull(state) && g != nil:
		delete(g.states, userID)
		m.dropLocked(groupID, g)
	case !rawjson.IsNull(state):
		if g == nil {
			g = newAttendance()
			m.groups[groupID] = g
		}
		g.states[userID] = state
	}
	return time.Now().UTC(), nil
}

// List implements [Store].
func (m *Memory) List(_ context.Context, groupID string) ([]group.Present, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[groupID]
	if g == nil {
		return nil, nil
	}
	var nodes []string
	if m.node != nil {
		nodes = []string{m.node()}
	}
	now := time.Now().UTC()
	present := make([]group.Present, 0, len(g.users)+len(g.lately))
	for userID, p := range g.users {
		item := group.Present{UserID: userID, Status: group.StatusOnline, State: g.states[userID], AsOf: now, Nodes: nodes}
		if !p.here {
			since := p.since.UTC()
			item.Status, item.LastSeenAt, item.Reason, item.Nodes = group.StatusReconnecting, &since, p.reason, nil
		}
		present = append(present, item)
	}
	for userID, at := range g.lately {
		if at = at.UTC(); time.Since(at) < LatelyFor {
			present = append(present, group.Present{UserID: userID, Status: group.StatusOffline, LastSeenAt: &at, AsOf: now})
		}
	}
	return present, nil
}

// Count implements [Store].
func (m *Memory) Count(_ context.Context, groupIDs []string) ([]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := make([]int, len(groupIDs))
	for i, groupID := range groupIDs {
		if g := m.groups[groupID]; g != nil {
			counts[i] = g.online
		}
	}
	return counts, nil
}

// endGraces ends graces until ctx ends.
func (m *Memory) endGraces(ctx context.Context, tell func(string, []group.PresenceChange)) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-next.C:
		case <-tick.C:
			m.forgetOld()
		}
		over, wait := m.endDue()
		for groupID, changes := range over {
			tell(groupID, changes)
		}
		next.Reset(wait)
	}
}

// endDue ends the graces that are due, and returns how long to wait for the next.
func (m *Memory) endDue() (map[string][]group.PresenceChange, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	over := make(map[string][]group.PresenceChange)
	for len(m.queue) > 0 {
		end := m.queue[0]
		if wait := end.at.Sub(now); wait > 0 {
			return over, wait
		}
		m.queue = m.queue[1:]
		g := m.groups[end.groupID]
		if g == nil || g.users[end.userID] == nil || g.users[end.userID].here || !g.users[end.userID].since.Equal(end.since) {
			continue // they came back
		}
		over[end.groupID] = append(over[end.groupID], g.offline(end.userID, now, false))
	}
	m.queue = nil
	return over, tidyEvery
}

func (m *Memory) forgetOld() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for groupID, g := range m.groups {
		for userID, at := range g.lately {
			if time.Since(at) > LatelyFor {
				delete(g.lately, userID)
			}
		}
		m.dropLocked(groupID, g)
	}
}
