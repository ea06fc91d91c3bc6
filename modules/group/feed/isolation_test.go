package feed

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/engine"
)

// stuckSocket is a socket that takes as long as the test wants.
type stuckSocket struct {
	*recorder
	once   sync.Once
	taking chan struct{} // closed once something is sent to it
	free   chan struct{} // closed when it may take that
}

func newStuckSocket(n node, user string) *stuckSocket {
	return &stuckSocket{recorder: newRecorder(n.hub, user), taking: make(chan struct{}), free: make(chan struct{})}
}

func (s *stuckSocket) Join(room string)  { _ = s.hub.Join(room, s) }
func (s *stuckSocket) Leave(room string) { s.hub.Leave(room, s) }
func (*stuckSocket) Writable() bool      { return true }

func (s *stuckSocket) SendAll(frames []*engine.Frame) {
	for _, f := range frames {
		s.Send(f)
	}
}

func (s *stuckSocket) Send(f *engine.Frame) {
	s.once.Do(func() { close(s.taking) })
	<-s.free
	s.recorder.Send(f)
}

// TestAGroupThatIsBeingSentToHoldsUpNoOther: while a write to a socket of one
// group does not return, other groups go on in every way, and so does all of the
// same group that need not come after that write.
func TestAGroupThatIsBeingSentToHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for _, sockets := range []int{1, inlineSockets + 1} { // sent to by the caller, or by a goroutine of the group
		t.Run(fmt.Sprint(sockets, " sockets"), func(t *testing.T) {
			t.Parallel()
			log := newMemoryLog()
			log.create("slow")
			log.create("other")
			node := newCluster(t, log, 1, nil)[0]
			stuck := newStuckSocket(node, "stuck")
			admit := func(group.Group, *group.Member) error { return nil }
			if _, err := node.feed.Subscribe(t.Context(), stuck, SubscribeRequest{GroupID: "slow", Admit: admit}); err != nil {
				t.Fatal(err)
			}
			node.feed.Release(stuck, "slow")
			for i := range sockets - 1 {
				newRecorder(node.hub, fmt.Sprint("u", i)).follow(t, node.feed, "slow", nil)
			}
			both, other := newRecorder(node.hub, "both"), newRecorder(node.hub, "other")
			both.follow(t, node.feed, "other", nil)

			var announced sync.WaitGroup
			announced.Go(func() {
				node.feed.Announce(context.Background(), []group.Event{log.post("slow", group.MessagePosted, `{}`)})
			})
			<-stuck.taking

			// The other group.
			other.follow(t, node.feed, "other", new(int64(0)))
			node.feed.Announce(context.Background(), []group.Event{log.post("other", group.MessagePosted, `{}`)})
			both.await(t, func() bool { return both.last() == 2 })
			other.await(t, func() bool { return other.last() == 2 })
			node.feed.Unsubscribe(other, "other", group.EndUnsubscribed)

			// The same group.
			newcomer := newRecorder(node.hub, "newcomer")
			newcomer.follow(t, node.feed, "slow", nil)
			if !node.feed.MaySignal(newcomer, "slow") {
				t.Error("a subscriber may not signal")
			}
			node.feed.Drop(newcomer, group.EndDropped)
			both.versions = nil
			both.follow(t, node.feed, "slow", new(int64(1)))
			announced.Go(func() {
				node.feed.Announce(context.Background(), []group.Event{log.post("slow", group.MessagePosted, `{}`)})
			})
			if !node.feed.checkSilence(t.Context(), silenceSlack) {
				t.Error("the log's heads were not compared")
			}
			node.feed.Drop(both, group.EndDropped)
			if stuck.last() != 0 {
				t.Errorf("the stuck socket took event %d", stuck.last())
			}

			close(stuck.free)
			announced.Wait()
			stuck.await(t, func() bool { return stuck.last() == 3 })
		})
	}
}
