package group

import (
	"context"
	"sync"
)

// MemoryPresence is the [PresenceStore] of a node that stands alone.
type MemoryPresence struct {
	mu     sync.Mutex
	groups map[string]map[string]struct{}
}

var _ PresenceStore = (*MemoryPresence)(nil)

// NewMemoryPresence returns an empty store.
func NewMemoryPresence() *MemoryPresence {
	return &MemoryPresence{groups: make(map[string]map[string]struct{})}
}

// Start implements [PresenceStore]. No other node can die.
func (m *MemoryPresence) Start(context.Context, func(string, []string, bool)) error { return nil }

// Stop implements [PresenceStore].
func (m *MemoryPresence) Stop(context.Context) error { return nil }

// Apply implements [PresenceStore].
func (m *MemoryPresence) Apply(_ context.Context, changes []Attendance) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := make([]bool, len(changes))
	for i, c := range changes {
		told[i] = true // there is no other node
		switch {
		case !c.Here:
			delete(m.groups[c.GroupID], c.UserID)
			if len(m.groups[c.GroupID]) == 0 {
				delete(m.groups, c.GroupID)
			}
		case m.groups[c.GroupID] == nil:
			m.groups[c.GroupID] = map[string]struct{}{c.UserID: {}}
		default:
			m.groups[c.GroupID][c.UserID] = struct{}{}
		}
	}
	return told, nil
}

// List implements [PresenceStore].
func (m *MemoryPresence) List(_ context.Context, groupID string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	users := make([]string, 0, len(m.groups[groupID]))
	for userID := range m.groups[groupID] {
		users = append(users, userID)
	}
	return users, nil
}

// Count implements [PresenceStore].
func (m *MemoryPresence) Count(_ context.Context, groupIDs []string) ([]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := make([]int, len(groupIDs))
	for i, groupID := range groupIDs {
		counts[i] = len(m.groups[groupID])
	}
	return counts, nil
}
