package adaptertest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// testNames sends a hub envelopes that its modules send, and envelopes that no module sends. The
// latter must reach neither sockets nor interceptors.
func testNames(t *testing.T, open Open) {
	adapters := open(t)
	hub := adapter.NewHub(adapters[1])
	one := reserve(t, hub, adapter.Names{Owner: "one", Rooms: []string{"one:"}, Events: []string{"one:", "uno:"}})
	two := reserve(t, hub, adapter.Names{Owner: "two", Rooms: []string{"two:"}, Events: []string{"two:"}})
	got := &log{}
	taken := func(env adapter.Envelope) { got.add(env.Room, env.Event, "intercepted") }
	one.Intercept("one:taken", taken)
	two.Intercept("two:taken", taken)
	two.Intercept("one:taken", taken) // this module does not own the event
	hub.Intercept("one:taken", taken)
	one.Intercept("one:told", one.EmitLocal)
	hub.OnDropped(func(env adapter.Envelope) { got.add(env.Room, env.Event, "dropped") })
	if err := hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := hub.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	sender := &node{Adapter: adapters[0], rooms: make(map[string]int)}
	sender.start(t)

	want := map[string][]string{
		"one:1": {"one:taken intercepted", "one:told sent", "news sent", "one:else dropped", "uno: dropped", "two:taken dropped"},
		"two:1": {"two:taken intercepted", "one:taken dropped", "one:told dropped", "news sent"},
		"lobby": {"one:taken dropped", "one:told dropped", "uno: dropped", "two:taken dropped", "news sent"},
	}
	for room, owner := range map[string]*adapter.Owner{"one:1": one, "two:1": two, "lobby": hub.Owner} {
		if err := owner.Watch(t.Context(), room); err != nil {
			t.Fatal(err)
		}
		if err := owner.Join(room, member{room, got}); err != nil {
			t.Fatal(err)
		}
		for _, line := range want[room] {
			event, _, _ := strings.Cut(line, " ")
			sender.publish(t, adapter.Envelope{Room: room, Event: event})
		}
	}
	for room, lines := range want {
		waittest.Until(t, "all envelopes of "+room, func() bool { return len(got.of(room)) >= len(lines) })
		if got := got.of(room); !slices.Equal(got, lines) {
			t.Errorf("the envelopes to %s: %q, want %q", room, got, lines)
		}
	}
}

func reserve(t *testing.T, hub *adapter.Hub, names adapter.Names) *adapter.Owner {
	t.Helper()
	own, err := hub.Reserve(&names)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// log records the fate of each room's envelopes, in order.
type log struct {
	mu    sync.Mutex
	lines map[string][]string
}

func (l *log) add(room, event, fate string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = make(map[string][]string)
	}
	l.lines[room] = append(l.lines[room], event+" "+fate)
}

func (l *log) of(room string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines[room])
}

// member is a socket in one room, and its own codec. It records its frames.
type member struct {
	room string
	log  *log
}

func (m member) ID() string           { return m.room }
func (m member) UserID() string       { return m.room }
func (m member) Codec() adapter.Codec { return m }
func (m member) Send(f *engine.Frame) { m.log.add(m.room, string(f.Payload()), "sent") }

func (member) Writable() bool { return true }

func (m member) SendAll(frames []*engine.Frame) {
	for _, f := range frames {
		m.Send(f)
	}
}

// Event implements [adapter.Codec].
func (m member) Event(env adapter.Envelope) *engine.Frame {
	return engine.Plain.Frame([]byte(env.Event))
}
