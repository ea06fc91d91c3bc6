package recovery

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/socket/engine"
)

// Limits of histories. Sockets share the frames that they are sent, but each history counts
// them.
const (
	maxHistory      = 1024      // events of one socket
	maxHistoryBytes = 256 << 10 // bytes of one socket
	maxAllHistories = 256 << 20 // bytes of all sockets of a node
	maxSeen         = 256       // offsets of earlier events that a socket takes over
)

// history holds the last events of a socket, both sent and missed, in order.
type history struct {
	all *atomic.Int64 // size of all histories of the node
	age time.Duration // older events are dropped, but not the last one

	mu     sync.Mutex
	events []keptEvent
	bytes  int64
	relay  func(*engine.Frame) // set once another socket has taken over; must not block
	closed bool                // nothing more is kept

	// For a while after a socket has taken over from another, events may come twice.
	merge bool
	seen  []string // offsets of earlier events
}

type keptEvent struct {
	*engine.Frame
	at time.Time
}

// add records an event, and calls send unless the event is already recorded. The lock is
// held meanwhile, so that events are sent in the order of the history. send must not block.
func (h *history) add(f *engine.Frame, send func(*engine.Frame)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.merge && (h.indexLocked(f.Offset()) >= 0 || slices.Contains(h.seen, f.Offset())) {
		return
	}
	h.keepLocked(keptEvent{f, time.Now()})
	send(f)
}

func (h *history) keepLocked(e keptEvent) {
	if h.closed {
		return
	}
	h.events = append(h.events, e)
	h.countLocked(e.Len())
	for len(h.events) > 1 && (len(h.events) > maxHistory || h.bytes > maxHistoryBytes ||
		h.all.Load() > maxAllHistories || e.at.Sub(h.events[1].at) > h.age) {
		h.countLocked(-h.events[0].Len())
		h.events[0] = keptEvent{}
		h.events = h.events[1:]
	}
}

func (h *history) countLocked(bytes int) {
	h.bytes += int64(bytes)
	h.all.Add(int64(bytes))
}

// miss records an event that cannot be sent, or relays it.
func (h *history) miss(f *engine.Frame) {
	h.mu.Lock()
	relay := h.relay
	h.mu.Unlock()
	if relay == nil {
		relay = func(*engine.Frame) {}
	}
	h.add(f, relay)
}

// close drops the events.
func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.countLocked(-int(h.bytes))
	h.events, h.closed = nil, true
}

// take returns the events from the one with this offset on, and offsets of some earlier
// events. It returns nothing if there is no such event. Later events go to relay, each once
// and in order.
func (h *history) take(offset string, relay func(*engine.Frame)) (events []*engine.Frame, seen []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.indexLocked(offset)
	if i < 0 {
		return nil, nil
	}
	h.relay, h.merge = relay, true
	seen = slices.Clone(h.seen)
	for _, e := range h.events[:i] {
		seen = append(seen, e.Offset())
	}
	for _, e := range h.events[i:] {
		events = append(events, e.Frame)
	}
	return events, seen[max(0, len(seen)-maxSeen):]
}

// continueWith puts another socket's history before this one, which is new.
func (h *history) continueWith(events []*engine.Frame, seen []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := h.events
	h.countLocked(-int(h.bytes))
	h.events, h.seen, h.merge = nil, seen, true
	now := time.Now()
	for _, f := range events {
		h.keepLocked(keptEvent{f, now})
	}
	for _, e := range own {
		if h.indexLocked(e.Offset()) < 0 {
			h.keepLocked(e)
		}
	}
}

// endMerge is called when events can no longer come twice.
func (h *history) endMerge() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.merge, h.seen = false, nil
}

// indexLocked searches from the end, because clients usually ask for late events.
func (h *history) indexLocked(offset string) int {
	for i := len(h.events) - 1; i >= 0; i-- {
		if h.events[i].Offset() == offset {
			return i
		}
	}
	return -1
}
