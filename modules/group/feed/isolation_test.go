package feed

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/engine"
)

// stuckSocket is a socket whose Send blocks until the test releases it.
type stuckSocket struct {
	*recorder
	once   sync.Once
	taking chan struct{} // closed when Send is called
	free   chan struct{} // closed to let Send return
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

// TestAGroupThatIsBeingSentToHoldsUpNoOther blocks a write to a socket of one group. Other
// groups must continue normally. In the same group, everything must continue that does not
// have to follow this write.
func TestAGroupThatIsBeingSentToHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for _, sockets := range []int{1, inlineSockets + 1} { // sent to by the caller, or by the group's goroutine
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

			// Another group continues.
			other.follow(t, node.feed, "other", new(int64(0)))
			node.feed.Announce(context.Background(), []group.Event{log.post("other", group.MessagePosted, `{}`)})
			both.await(t, func() bool { return both.last() == 2 })
			other.await(t, func() bool { return other.last() == 2 })
			node.feed.Unsubscribe(other, "other", group.EndUnsubscribed)

			// The same group continues, except for sending.
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
				t.Errorf("the stuck socket received event %d", stuck.last())
			}

			close(stuck.free)
			announced.Wait()
			stuck.await(t, func() bool { return stuck.last() == 3 })
		})
	}
}
