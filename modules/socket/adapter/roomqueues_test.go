package adapter

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket/engine"
)

// slowSocket is a socket whose Send blocks until the test allows it.
type slowSocket struct {
	dummy
	may    chan struct{}
	taking chan struct{} // closed when the first frame is sent to it
	once   sync.Once

	mu  sync.Mutex
	got []string
}

func (s *slowSocket) Codec() Codec { return plain(0) }
func (*slowSocket) Writable() bool { return true }

func (s *slowSocket) SendAll(frames []*engine.Frame) {
	for _, f := range frames {
		s.Send(f)
	}
}

func (s *slowSocket) Send(f *engine.Frame) {
	s.once.Do(func() { close(s.taking) })
	<-s.may
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(f.Payload()))
}

func (s *slowSocket) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// TestALargeRoomDoesNotDelayOthers sends to a large room of another node, whose sockets
// block, and then to a small one.
func TestALargeRoomDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	mesh := NewMesh()
	here, there := NewHub(mesh.Adapter()), NewHub(mesh.Adapter())
	for _, h := range []*Hub{here, there} {
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	may := make(chan struct{})
	large := make([]*slowSocket, queueAbove+1)
	for i := range large {
		large[i] = &slowSocket{dummy: dummy(fmt.Sprint("l", i)), may: may, taking: make(chan struct{})}
		_ = there.Join("large", large[i])
	}
	open := make(chan struct{})
	close(open)
	small := &slowSocket{dummy: "s", may: open, taking: make(chan struct{})}
	_ = there.Join("small", small)

	send := func(room, data string) {
		if err := here.Publish(t.Context(), Envelope{Room: room, Event: "e", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	send("large", "0")
	<-large[0].taking
	for i := 1; i <= maxQueued+3; i++ {
		send("large", fmt.Sprint(i))
	}
	send("small", "small")
	waittest.Until(t, "the small room", func() bool { return len(small.received()) == 1 })
	waittest.Until(t, "the overflow", func() bool { return there.Overflow() == 3 })
	if got := large[0].received(); len(got) > 0 {
		t.Errorf("a slow socket took %q", got)
	}
	close(may)
	waittest.Until(t, "the large room", func() bool { return len(large[queueAbove].received()) == 1+maxQueued })
	got, want := large[queueAbove].received(), make([]string, 0, 1+maxQueued)
	for i := range 1 + maxQueued {
		want = append(want, fmt.Sprint(i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("a socket of the large room received %q", got)
	}
	for _, h := range []*Hub{here, there} {
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
