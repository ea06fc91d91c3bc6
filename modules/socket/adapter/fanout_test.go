package adapter

import (
	"sync"
	"testing"

	"github.com/moim-live/moim/modules/socket/engine"
)

// inbox is a socket that keeps what it is sent.
type inbox struct {
	dummy
	codec  plain
	mu     sync.Mutex
	frames []*engine.Frame
}

func (i *inbox) Codec() Codec { return i.codec }

func (i *inbox) Send(f *engine.Frame) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.frames = append(i.frames, f)
}

type plain int

func (plain) Event(_ string, data []byte) *engine.Frame { return engine.Plain.Frame(data) }

// TestFanOutOfALargeRoom is shared among processors: every socket but the one
// left out gets each frame once, in order, and those of one door the same.
func TestFanOutOfALargeRoom(t *testing.T) {
	t.Parallel()
	h := NewHub(NewMesh().Adapter())
	sockets := make([]*inbox, 3*fanOutAlone+7)
	for i := range sockets {
		sockets[i] = &inbox{dummy: dummy(string(rune('a' + i))), codec: plain(i % 2)}
		h.Join("r", sockets[i])
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
