package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// inbox collects what one connection receives, and checks it on arrival.
type inbox struct {
	name string

	mu       sync.Mutex
	streams  map[string]*stream
	others   []push   // signals, presence, and events about the socket itself
	ends     []string // the reason of each disconnect
	connects int
	wrong    []string
	contract *contract // received frames must match it; nil: not checked
	checked  int
}

// push is a message that a server sent without a request.
type push struct {
	Event string
	Data  json.RawMessage
}

func newInbox(name string) *inbox { return &inbox{name: name, streams: make(map[string]*stream)} }

// stream returns the events that were received of one group.
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

// disconnects returns the reasons for which the client was disconnected, in order.
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

// faults returns every violation of the contract. The contract is: the client receives every
// event after the version it subscribed at, each once and in order, and none after the end.
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

// stream is one connection's view of one group. Like the simplest client, it applies each event
// on arrival and does not look for gaps.
type stream struct {
	groupID string

	mu      sync.Mutex
	started bool
	last    int64   // the last version received, or the version at which the subscription began
	early   []event // received before the test knew the version at which the subscription begins
	events  []event
	late    time.Duration // the longest time from an event's own time to its arrival
	behind  int64         // events up to this version were missed and do not count as late
	closed  string
	ended   string // the reason, if it was closed before the answer was read
	wrong   []string
}

// resume prepares the stream of a client that has all versions up to since. Call it before the
// client subscribes: from then on each event must be the next one, even if the answer was not
// read yet.
func (s *stream) resume(since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.last, s.closed, s.ended, s.early = true, since, "", "", nil
	s.behind = math.MaxInt64 // until the answer arrives
}

// resumed handles the answer to a subscription after the version since.
func (s *stream) resumed(since int64, answered subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = answered.Group.Version
	if answered.Snapshot || answered.Version != since {
		s.faultLocked("a subscription after %d begins at version %d, snapshot: %v", since, answered.Version, answered.Snapshot)
	}
}

// begin handles the answer to a subscription from the group's current version on.
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

// take handles one event.
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

// end handles group:closed.
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

// faultLocked records a violation. It keeps only the first ones, because the others follow from
// them.
func (s *stream) faultLocked(format string, args ...any) {
	if len(s.wrong) < 5 {
		s.wrong = append(s.wrong, "group "+s.groupID+": "+fmt.Sprintf(format, args...))
	}
}

// latest returns the longest delay of an event. Events that the client missed while it was
// disconnected do not count.
func (s *stream) latest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late
}

// head returns the last version that the client has. It is 0 before the answer.
func (s *stream) head() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// closedFor returns the reason of group:closed. It is empty while the subscription is open.
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
