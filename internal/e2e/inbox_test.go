package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// inbox collects what one connection receives and checks it as it comes.
type inbox struct {
	name string

	mu       sync.Mutex
	streams  map[string]*stream
	others   []push   // signals, presence, and what concerns the socket itself
	ends     []string // why it was disconnected, each time
	connects int
	wrong    []string
	contract *contract // what is received is as this says; nil: not compared
	checked  int
}

// push is something that a server sent by itself.
type push struct {
	Event string
	Data  json.RawMessage
}

func newInbox(name string) *inbox { return &inbox{name: name, streams: make(map[string]*stream)} }

// stream returns what was received of one group's events.
func (b *inbox) stream(groupID string) *stream {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streamLocked(groupID)
}

func (b *inbox) streamLocked(groupID string) *stream {
	s := b.streams[groupID]
	if s == nil {
		s = &stream{groupID: groupID}
		b.streams[groupID] = s
	}
	return s
}

// pushed implements listener.
func (b *inbox) pushed(name string, data json.RawMessage) {
	var e event
	var closed struct{ GroupID, Reason string }
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.checked++; b.contract != nil && b.checked <= maxChecked {
		if err := b.contract.checkPush(name, data); err != nil {
			b.wrong = append(b.wrong, err.Error())
		}
	}
	switch name {
	case "group:event":
		if err := json.Unmarshal(data, &e); err != nil {
			b.wrong = append(b.wrong, fmt.Sprintf("event %s: %v", data, err))
			return
		}
		b.streamLocked(e.GroupID).take(e)
	case "group:closed":
		if err := json.Unmarshal(data, &closed); err != nil {
			b.wrong = append(b.wrong, fmt.Sprintf("closed %s: %v", data, err))
			return
		}
		b.streamLocked(closed.GroupID).end(closed.Reason)
	case "group:signal", "group:presence", "group:read", "group:mine", "token:expiring", "socket:reconnect":
		b.others = append(b.others, push{name, slices.Clone(data)})
	default:
		b.wrong = append(b.wrong, fmt.Sprintf("received the unknown event %q", name))
	}
}

// disconnected implements listener.
func (b *inbox) disconnected(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = append(b.ends, reason)
}

// connected implements listener.
func (b *inbox) connected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connects++
}

// connections returns how often the client connected.
func (b *inbox) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connects
}

// disconnects returns why the client was disconnected, each time.
func (b *inbox) disconnects() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.ends)
}

// pushes returns the signals, presence changes or read marks received, in order.
func (b *inbox) pushes(name string) []json.RawMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []json.RawMessage
	for _, p := range b.others {
		if p.Event == name {
			found = append(found, p.Data)
		}
	}
	return found
}

// faults returns everything that broke the promise: every event after the
// version subscribed at, each once, in order, none after the end.
func (b *inbox) faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.wrong)
	for _, s := range b.streams {
		s.mu.Lock()
		all = append(all, s.wrong...)
		s.mu.Unlock()
	}
	return all
}

// stream is one connection's view of one group. It is as simple as a client can
// be: it takes each event as it comes, and trusts that none is missing.
type stream struct {
	groupID string

	mu      sync.Mutex
	started bool
	last    int64   // the last version received, or that the subscription began at
	early   []event // pushed before the test knew where the subscription begins
	events  []event
	late    time.Duration // the worst, from an event's own time to its arrival
	behind  int64         // events up to this version waited for the client: they are not late
	closed  string
	ended   string // closed for this reason before the answer was read
	wrong   []string
}

// resume is for a client that has seen since. Call it before the subscription
// is asked for: from then on each event must be the next one, whether or not the
// answer has been read.
func (s *stream) resume(since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.last, s.closed, s.ended, s.early = true, since, "", "", nil
	s.behind = math.MaxInt64 // until the answer says
}

// resumed takes the answer to a subscription after since.
func (s *stream) resumed(since int64, answered subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = answered.Group.Version
	if answered.Snapshot || answered.Version != since {
		s.faultLocked("a subscription after %d begins at version %d, snapshot: %v", since, answered.Version, answered.Snapshot)
	}
}

// begin takes the answer to a subscription from the group's head on.
func (s *stream) begin(answered subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answered.Snapshot {
		s.faultLocked("the answer to a subscription without since is a snapshot")
	}
	if s.started && s.closed == "" {
		s.faultLocked("the test subscribed again without resume")
		return
	}
	s.started, s.closed, s.last = true, "", answered.Version
	early, ended := s.early, s.ended
	s.early, s.ended = nil, ""
	for _, e := range early {
		s.takeLocked(e)
	}
	s.closed = ended
}

// take receives one event.
func (s *stream) take(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Version > s.behind {
		s.late = max(s.late, time.Since(e.At))
	}
	s.takeLocked(e)
}

func (s *stream) takeLocked(e event) {
	switch {
	case s.closed+s.ended != "":
		s.faultLocked("event %d %s after group:closed (%s)", e.Version, e.Type, s.closed+s.ended)
	case !s.started:
		s.early = append(s.early, e)
	case e.Version != s.last+1:
		s.faultLocked("event %d %s after event %d", e.Version, e.Type, s.last)
	default:
		s.last = e.Version
		s.events = append(s.events, e)
	}
}

// end takes group:closed.
func (s *stream) end(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.closed + s.ended; before != "" {
		s.faultLocked("closed twice: %s, then %s", before, reason)
	}
	if s.started {
		s.closed = reason
	} else {
		s.ended = reason
	}
}

// faultLocked notes a broken promise; the first ones tell the story.
func (s *stream) faultLocked(format string, args ...any) {
	if len(s.wrong) < 5 {
		s.wrong = append(s.wrong, "group "+s.groupID+": "+fmt.Sprintf(format, args...))
	}
}

// latest returns how late the latest of the events was. Those that a client
// missed do not count: they waited for it.
func (s *stream) latest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late
}

// head returns the last version that the client has, 0 before the answer.
func (s *stream) head() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// closedFor returns the reason of group:closed, empty while it is open.
func (s *stream) closedFor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// received returns the events received so far.
func (s *stream) received() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}
