package feed

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// memoryLog is a log in memory. Tests of the feed use it to test the feed without a
// database.
type memoryLog struct {
	slow time.Duration // duration of a read

	mu     sync.Mutex
	events map[string][]group.Event
	heads  map[string]int64
	outbox map[group.Ref]time.Time
	reads  int
}

func newMemoryLog() *memoryLog {
	return &memoryLog{events: make(map[string][]group.Event), heads: make(map[string]int64), outbox: make(map[group.Ref]time.Time)}
}

// logOf returns a log of group g with the given number of messages after its creation.
func logOf(messages int) *memoryLog {
	log := newMemoryLog()
	log.create("g")
	for range messages {
		log.post("g", group.MessagePosted, `{}`)
	}
	return log
}

func (l *memoryLog) create(groupID string) group.Event {
	return l.post(groupID, group.GroupCreated, `{}`)
}

func (l *memoryLog) post(groupID string, typ group.EventType, data string) group.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.postLocked(groupID, typ, data)
}

func (l *memoryLog) postLocked(groupID string, typ group.EventType, data string) group.Event {
	l.heads[groupID]++
	e := group.Event{GroupID: groupID, Version: l.heads[groupID], Type: typ, Data: json.RawMessage(data), At: time.Now()}
	l.events[groupID] = append(l.events[groupID], e)
	l.outbox[group.Ref{GroupID: groupID, Version: e.Version}] = e.At
	return e
}

// replace replaces the data of an event for later reads.
func (l *memoryLog) replace(groupID string, version int64, data string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[groupID][version-1].Data = json.RawMessage(data)
}

// rewrite appends an event that edits or deletes a message. It replaces the data of the
// events that contain the message's text.
func (l *memoryLog) rewrite(groupID string, typ group.EventType, data string, now map[int64]string) group.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.postLocked(groupID, typ, data)
	for version, text := range now {
		l.events[groupID][version-1].Data = json.RawMessage(text)
	}
	return e
}

func (l *memoryLog) head(groupID string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heads[groupID]
}

func (l *memoryLog) trim(groupID string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[groupID] = l.events[groupID][n:]
}

func (l *memoryLog) rewind(groupID string, head int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heads[groupID] = head
	l.events[groupID] = l.events[groupID][:head]
}

func (l *memoryLog) outboxed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.outbox)
}

func (l *memoryLog) readings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

func (l *memoryLog) Read(ctx context.Context, groupID string, since int64, limit int, _ []string) (group.LogPage, error) {
	if l.slow > 0 {
		select {
		case <-time.After(l.slow):
		case <-ctx.Done():
			return group.LogPage{}, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	events := l.events[groupID]
	if len(events) == 0 {
		return group.LogPage{}, fault.ErrNotFound
	}
	page := group.LogPage{Group: group.Group{ID: groupID, Version: l.heads[groupID]}, MovedAt: l.movedAt(groupID), First: events[0].Version}
	size := 0
	for _, e := range events {
		if e.Version > since && len(page.Events) < limit && size < group.PageBytes {
			page.Events = append(page.Events, e)
			size += len(e.Data)
		}
	}
	return page, nil
}

func (l *memoryLog) movedAt(groupID string) time.Time {
	events := l.events[groupID]
	return events[len(events)-1].At
}

// Memberships knows no members, like the other reads.
func (l *memoryLog) Memberships(_ context.Context, groupID string, _ []string) (group.Memberships, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events[groupID]) == 0 {
		return group.Memberships{}, fault.ErrNotFound
	}
	return group.Memberships{Version: l.heads[groupID], MovedAt: l.movedAt(groupID)}, nil
}

func (l *memoryLog) Heads(context.Context, time.Duration, []string) ([]group.Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	heads := make([]group.Head, 0, len(l.heads))
	for id, v := range l.heads {
		heads = append(heads, group.Head{GroupID: id, Version: v})
	}
	return heads, nil
}

func (l *memoryLog) Relay(_ context.Context, age time.Duration, limit int, publish func(group.Event) error) (int, error) {
	l.mu.Lock()
	var due []group.Event
	for ref, at := range l.outbox {
		if time.Since(at) > age && len(due) < limit {
			for _, e := range l.events[ref.GroupID] {
				if e.Version == ref.Version {
					due = append(due, e)
				}
			}
		}
	}
	l.mu.Unlock()
	n := 0
	for _, e := range due {
		if publish(e) == nil {
			_ = l.Published(context.Background(), []group.Ref{{GroupID: e.GroupID, Version: e.Version}})
			n++
		}
	}
	return n, nil
}

func (l *memoryLog) Published(_ context.Context, refs []group.Ref) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ref := range refs {
		delete(l.outbox, ref)
	}
	return nil
}
