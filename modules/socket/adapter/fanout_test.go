package adapter

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/socket/engine"
)

// inbox is a socket that keeps what it is sent.
type inbox struct {
	dummy
	codec  plain
	mu     sync.Mutex
	frames []*engine.Frame
	queued int // how many of them could wait
}

func (i *inbox) Codec() Codec { return i.codec }

func (i *inbox) Send(f *engine.Frame) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.frames = append(i.frames, f)
}

func (i *inbox) Queue(f *engine.Frame) {
	i.Send(f)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.queued++
}

type plain int

func (plain) Event(_ string, data []byte) *engine.Frame { return engine.Plain.Frame(data) }

// TestGatheredFanOut: sockets may let wait what says so.
func TestGatheredFanOut(t *testing.T) {
	t.Parallel()
	h := NewHub(NewMesh().Adapter())
	s := &inbox{dummy: "s"}
	h.join("r", s)
	h.Local(Envelope{Room: "r", Event: "e"})
	NewMessage(Envelope{Room: "r", Event: "e"}).Send(h.Sockets("r"), true)
	if len(s.frames) != 2 || s.queued != 1 {
		t.Errorf("%d frames arrived, of which %d could wait", len(s.frames), s.queued)
	}
}

// TestFanOutOfALargeRoom is shared among processors: every socket but the one
// left out gets each frame once, in order, and those of one door the same.
func TestFanOutOfALargeRoom(t *testing.T) {
	t.Parallel()
	h := NewHub(NewMesh().Adapter())
	sockets := make([]*inbox, 3*fanOutAlone+7)
	for i := range sockets {
		sockets[i] = &inbox{dummy: dummy(string(rune('a' + i))), codec: plain(i % 2)}
		h.join("r", sockets[i])
	}
	for n := range 20 {
		h.Local(Envelope{Room: "r", Event: "e", Data: []byte{byte('0' + n)}, Except: sockets[5].ID()})
	}
	for i, s := range sockets {
		if i == 5 {
			if len(s.frames) != 0 {
				t.Error("the one left out received")
			}
			continue
		}
		if len(s.frames) != 20 {
			t.Fatalf("socket %d received %d frames", i, len(s.frames))
		}
		for n, f := range s.frames {
			if string(f.Payload()) != string(rune('0'+n)) || f != sockets[i%2].frames[n] {
				t.Fatalf("socket %d received %q as number %d, or a frame of its own", i, f.Payload(), n)
			}
		}
	}
}

// meeting is a socket that makes its senders wait for each other.
type meeting struct {
	silent
	place *place
}

func (m meeting) Send(*engine.Frame) { m.place.enter() }

// place opens once as many goroutines are in it as are expected.
type place struct {
	alone    int // that enter before anybody has to wait
	expected int

	mu      sync.Mutex
	entered int
	open    chan struct{}
}

func (p *place) enter() {
	p.mu.Lock()
	p.entered++
	if p.entered == p.alone+p.expected {
		close(p.open)
	}
	wait := p.entered > p.alone
	p.mu.Unlock()
	if wait {
		<-p.open
	}
}

// TestFanOutUsesAllProcessors: a goroutine for each of GOMAXPROCS shares a large
// room. It changes GOMAXPROCS, so it is not parallel.
func TestFanOutUsesAllProcessors(t *testing.T) {
	const processors = 4
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	h := NewHub(NewMesh().Adapter())
	p := &place{alone: fanOutChunk, expected: processors, open: make(chan struct{})}
	for i := range 3 * fanOutAlone {
		_ = h.Join("r", meeting{silent{dummy(string(rune('a' + i)))}, p})
	}
	sent := make(chan struct{})
	go func() {
		h.Local(Envelope{Room: "r", Event: "e"})
		close(sent)
	}()
	select {
	case <-sent:
	case <-time.After(time.Minute):
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Fatalf("%d goroutines share the room, want %d", p.entered-p.alone, processors)
	}
}

// silent is a socket that drops what it is sent.
type silent struct{ dummy }

func (silent) Codec() Codec        { return plain(0) }
func (silent) Send(*engine.Frame)  {}
func (silent) Queue(*engine.Frame) {}

// TestLocalAllocatesForTheFrameOnly: to a thousand sockets as much as to one.
func TestLocalAllocatesForTheFrameOnly(t *testing.T) {
	h := NewHub(NewMesh().Adapter())
	for i := range fanOutAlone {
		h.join("large", silent{dummy(string(rune('a' + i)))})
	}
	h.join("small", silent{"a"})
	allocations := func(room string) float64 {
		env := Envelope{Room: room, Event: "e", Data: []byte(`{}`), Except: "nobody"}
		return testing.AllocsPerRun(100, func() { h.Local(env) })
	}
	if large, small := allocations("large"), allocations("small"); large != small {
		t.Errorf("%v allocations for %d sockets, %v for one", large, fanOutAlone, small)
	}
}
