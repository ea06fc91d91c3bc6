package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// recorder is a socket that records everything sent to it.
type recorder struct {
	hub    *adapter.Hub
	user   string
	busy   atomic.Bool
	writes atomic.Int64

	mu       sync.Mutex
	versions []int64
	data     []string // of the events
	reason   string
	told     []string // every message, with its version or reason
	changed  chan struct{}
}

func newRecorder(hub *adapter.Hub, user string) *recorder {
	return &recorder{hub: hub, user: user, changed: make(chan struct{}, 1)}
}

// recorderCodec encodes an event as its name and data, separated by a space.
type recorderCodec struct{}

func (recorderCodec) Event(env adapter.Envelope) *engine.Frame {
	return engine.Plain.Frame([]byte(env.Event), []byte(" "), env.Data)
}

func (r *recorder) ID() string           { return r.user }
func (r *recorder) UserID() string       { return r.user }
func (r *recorder) Codec() adapter.Codec { return recorderCodec{} }
func (r *recorder) Busy() bool           { return r.busy.Load() }
func (r *recorder) WhenFree(fn func())   { time.AfterFunc(10*time.Millisecond, fn) }
func (r *recorder) Join(room string)     { _ = r.hub.Join(room, r) }
func (r *recorder) Leave(room string)    { r.hub.Leave(room, r) }

func (*recorder) Writable() bool { return true }

func (r *recorder) SendAll(frames []*engine.Frame) {
	r.writes.Add(1)
	for _, f := range frames {
		r.record(f)
	}
}

func (r *recorder) Send(f *engine.Frame) {
	r.writes.Add(1)
	r.record(f)
}

func (r *recorder) record(f *engine.Frame) {
	name, data, _ := bytes.Cut(f.Payload(), []byte(" "))
	event := string(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	var d struct {
		Version int64
		Reason  string
		Data    json.RawMessage
	}
	if err := json.Unmarshal(data, &d); err != nil {
		panic(err)
	}
	r.told = append(r.told, fmt.Sprint(event, " ", d.Version, d.Reason))
	switch event {
	case group.EventPushed:
		r.versions = append(r.versions, d.Version)
		r.data = append(r.data, string(d.Data))
	case group.EventClosed:
		r.reason = d.Reason
	}
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *recorder) follow(t *testing.T, f *Feed, groupID string, since *int64) Subscription {
	t.Helper()
	a, err := f.Subscribe(t.Context(), r, SubscribeRequest{
		GroupID: groupID, Since: since, Admit: func(group.Group, *group.Member) error { return nil },
	})
	if err != nil {
		t.Errorf("subscribe: %v", err)
		return a
	}
	r.mu.Lock()
	if len(r.versions) == 0 {
		r.versions = append(r.versions, a.Version)
	}
	r.mu.Unlock()
	f.Release(r, groupID)
	return a
}

func (r *recorder) last() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.versions) == 0 {
		return 0
	}
	return r.versions[len(r.versions)-1]
}

func (r *recorder) closedFor() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

// checkOrder fails the test if a version is missing, duplicated or out of order.
func (r *recorder) checkOrder(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 1; i < len(r.versions); i++ {
		if r.versions[i] != r.versions[i-1]+1 {
			t.Fatalf("%s: version %d follows %d", r.user, r.versions[i], r.versions[i-1])
		}
	}
}

func (r *recorder) await(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-r.changed:
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: waited too long; last version %d, closed for %q", r.user, r.last(), r.closedFor())
		}
	}
}
