package adapter

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/socket/engine"
)

// inbox is a socket that records its frames.
type inbox struct {
	dummy
	codec  plain
	mu     sync.Mutex
	frames []*engine.Frame
	writes int // the number of writes in which they came
}

func (i *inbox) Codec() Codec { return i.codec }

func (i *inbox) Send(f *engine.Frame) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.frames = append(i.frames, f)
	i.writes++
}

func (*inbox) Writable() bool { return true }

func (i *inbox) SendAll(frames []*engine.Frame) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.frames = append(i.frames, frames...)
	i.writes++
}

type plain int

func (plain) Event(env Envelope) *engine.Frame { return engine.Plain.Frame(env.Data) }

// TestSeveralMessagesGoOutTogether checks that each socket gets its messages in order
// and in one write, in small and large rooms.
func TestSeveralMessagesGoOutTogether(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, engine.YieldAfter + 1, 3*fanOutAlone + 7} {
		sockets := make([]Socket, size)
		for i := range sockets {
			sockets[i] = &inbox{dummy: dummy(fmt.Sprint("s", i)), codec: plain(i % 2)}
		}
		Send([]*Message{
			NewMessage(Envelope{Data: []byte("1")}),
			NewMessage(Envelope{Data: []byte("2"), Except: "s0"}),
			NewMessage(Envelope{Data: []byte("3")}),
			NewMessage(Envelope{Data: []byte("4"), To: []string{"s1", "s2"}}),
		}, sockets...)
		for i, s := range sockets {
			var got string
			s, _ := s.(*inbox)
			for _, f := range s.frames {
				got += string(f.Payload())
			}
			want := "123"
			switch i {
			case 0:
				want = "13"
			case 1, 2:
				want = "1234"
			}
			if got != want || s.writes != 1 {
				t.Fatalf("socket %d of %d got %s in %d writes, want %s in one", i, size, got, s.writes, want)
			}
		}
	}
}

// TestFanOutOfALargeRoom checks that each socket but the excepted one gets each frame
// once and in order, and that sockets with one codec share frames.
func TestFanOutOfALargeRoom(t *testing.T) {
	t.Parallel()
	h := NewHub(NewMesh().Adapter())
	sockets := make([]*inbox, 3*fanOutAlone+7)
	for i := range sockets {
		sockets[i] = &inbox{dummy: dummy(string(rune('a' + i))), codec: plain(i % 2)}
		_ = h.Join("r", sockets[i])
	}
	for n := range 20 {
		h.EmitLocal(Envelope{Room: "r", Event: "e", Data: []byte{byte('0' + n)}, Except: sockets[5].ID()})
	}
	for i, s := range sockets {
		if i == 5 {
			if len(s.frames) != 0 {
				t.Error("the excepted socket received")
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

// meeting is a socket whose senders wait for each other.
type meeting struct {
	silent
	place *place
}

func (m meeting) Send(*engine.Frame) { m.place.enter() }

// place blocks goroutines until the expected number has arrived.
type place struct {
	alone    int // how many enter before any of them has to wait
	expected int

	mu      sync.Mutex
	entered int
	inside  int
	most    int // the most that were inside at the same time
	open    chan struct{}
}

func (p *place) enter() {
	p.mu.Lock()
	p.entered++
	if p.entered == p.alone+p.expected {
		close(p.open)
	}
	wait := p.entered > p.alone
	p.inside++
	p.most = max(p.most, p.inside)
	p.mu.Unlock()
	if wait {
		<-p.open
	}
	p.mu.Lock()
	p.inside--
	p.mu.Unlock()
}

// TestFanOutLeavesAProcessor checks that a large room uses all but one processor. It
// changes GOMAXPROCS, so it is not parallel.
func TestFanOutLeavesAProcessor(t *testing.T) {
	const processors = 4
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	h := NewHub(NewMesh().Adapter())
	p := &place{alone: fanOutChunk, expected: processors - 1, open: make(chan struct{})}
	for i := range 3 * fanOutAlone {
		_ = h.Join("r", meeting{silent{dummy(string(rune('a' + i)))}, p})
	}
	sent := make(chan struct{})
	go func() {
		h.EmitLocal(Envelope{Room: "r", Event: "e"})
		close(sent)
	}()
	select {
	case <-sent:
	case <-time.After(time.Minute):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most != processors-1 {
		t.Fatalf("%d goroutines share the room, want %d", p.most, processors-1)
	}
}

// silent is a socket that drops its frames.
type silent struct{ dummy }

func (silent) Codec() Codec       { return plain(0) }
func (silent) Send(*engine.Frame) {}
func (silent) Writable() bool     { return true }

func (silent) SendAll([]*engine.Frame) {}

// TestLocalAllocatesForTheFrameOnly checks that a thousand sockets need no more
// allocations than one.
func TestLocalAllocatesForTheFrameOnly(t *testing.T) {
	h := NewHub(NewMesh().Adapter())
	for i := range fanOutAlone {
		_ = h.Join("large", silent{dummy(string(rune('a' + i)))})
	}
	_ = h.Join("small", silent{"a"})
	allocations := func(room string) float64 {
		env := Envelope{Room: room, Event: "e", Data: []byte(`{}`), Except: "nobody"}
		return testing.AllocsPerRun(100, func() { h.EmitLocal(env) })
	}
	if large, small := allocations("large"), allocations("small"); large != small {
		t.Errorf("%v allocations for %d sockets, %v for one", large, fanOutAlone, small)
	}
}
