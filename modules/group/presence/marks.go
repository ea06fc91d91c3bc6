package presence

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Marks reports to subscribers how far members have read. Like [Tracker], it sends at most
// one message for a group in a window, keeps the rest for the next window, and sends to
// large groups less often. It stores nothing.
//
// It is safe for concurrent use, and its methods do not block.
type Marks struct {
	out    MarkSender
	window time.Duration
	log    *slog.Logger
	tasks  *tasks.Group
	wake   chan struct{}

	mu      sync.Mutex
	news    map[string]map[string]int64 // marks to report: group -> user -> version
	resting map[string]time.Time        // large groups, and when their rest after a push ends
}

var _ group.MarkTeller = (*Marks)(nil)

// MarkSender sends to sockets. adapter.Owner implements it.
type MarkSender interface {
	// Sockets returns this node's sockets in a room.
	Sockets(room string) []adapter.Socket
	// CastQueued is the same as [Sender.CastQueued].
	CastQueued(ctx context.Context, env adapter.Envelope)
}

// NewMarks returns a Marks that sends through out.
func NewMarks(cfg group.Config, out MarkSender, log *slog.Logger) *Marks {
	return &Marks{
		out:     out,
		window:  cfg.WithDefaults().PresenceWindow,
		log:     log,
		tasks:   tasks.New(),
		wake:    make(chan struct{}, 1),
		news:    make(map[string]map[string]int64),
		resting: make(map[string]time.Time),
	}
}

// Start starts the goroutine that sends.
func (m *Marks) Start(context.Context) error {
	m.tasks.Run(m.loop)
	return nil
}

// Stop stops it. Marks of the last window are lost.
func (m *Marks) Stop(ctx context.Context) error { return m.tasks.Stop(ctx) }

// Tell records that a member has read up to a version. Subscribers are told at the end of
// the window.
func (m *Marks) Tell(groupID, userID string, version int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(groupID, userID, version)
}

func (m *Marks) addLocked(groupID, userID string, version int64) {
	users := m.news[groupID]
	if users == nil {
		users = make(map[string]int64)
		m.news[groupID] = users
	}
	users[userID] = max(users[userID], version)
	tasks.Wake(m.wake)
}

// loop sends once a window while there are marks.
func (m *Marks) loop(ctx context.Context) {
	for {
		select {
		case <-m.wake:
		case <-ctx.Done():
			return
		}
		if !tasks.Pause(ctx, m.window) {
			return
		}
		m.flush(ctx)
	}
}

func (m *Marks) flush(ctx context.Context) {
	for groupID, users := range m.take() {
		m.tell(ctx, groupID, users)
	}
}

// take returns the marks to send in this window. Groups that rest keep theirs.
func (m *Marks) take() map[string]map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(m.resting, func(_ string, until time.Time) bool { return !now.Before(until) })
	taken := make(map[string]map[string]int64)
	for groupID, users := range m.news {
		if _, rests := m.resting[groupID]; rests {
			tasks.Wake(m.wake)
			continue
		}
		taken[groupID] = users
		delete(m.news, groupID)
		if rest := restOf(m.window, len(m.out.Sockets(group.Room(groupID)))); rest > 0 {
			m.resting[groupID] = now.Add(rest)
		}
	}
	return taken
}

// tell sends a group's marks. The marks that do not fit into one push are kept for the next
// window.
func (m *Marks) tell(ctx context.Context, groupID string, users map[string]int64) {
	items := make([]group.ReadMark, 0, len(users))
	for _, userID := range slices.Sorted(maps.Keys(users)) {
		items = append(items, group.ReadMark{UserID: userID, Version: users[userID]})
	}
	items, rest := split(items)
	data, err := rawjson.Marshal(group.ReadNews{GroupID: groupID, Items: items})
	if err != nil {
		m.log.ErrorContext(ctx, "group: cannot encode read marks", "group", groupID, "err", err)
		return
	}
	m.out.CastQueued(ctx, adapter.Envelope{Room: group.Room(groupID), Event: group.EventRead, Data: data, Lossy: true})
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, item := range rest {
		m.addLocked(groupID, item.UserID, item.Version)
	}
}
