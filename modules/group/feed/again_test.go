package feed

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/engine"
)

// TestFeedSubscribesAtTheClientsPace checks that the next subscription of a busy socket
// waits, but not forever.
func TestFeedSubscribesAtTheClientsPace(t *testing.T) {
	t.Parallel()
	node := newCluster(t, logOf(20), 1, nil)[0]
	slow, stuck := newRecorder(node.hub, "slow"), newRecorder(node.hub, "stuck")
	answered := make(chan struct{})
	slow.busy.Store(true)
	stuck.busy.Store(true)
	began := time.Now()
	go func() {
		defer close(answered)
		slow.follow(t, node.feed, "g", new(int64(1)))
	}()
	select {
	case <-answered:
		if time.Since(began) < busyWait {
			t.Error("a busy socket got its answer at once")
		}
	case <-time.After(100 * time.Millisecond):
	}
	slow.busy.Store(false)
	<-answered
	stuck.follow(t, node.feed, "g", new(int64(1)))
}

// hasty is a socket that begins a new subscription while Send tells it that the old one
// has ended.
type hasty struct {
	*recorder
	again func()
}

func (h *hasty) Send(f *engine.Frame) {
	h.recorder.Send(f)
	if bytes.HasPrefix(f.Payload(), []byte(group.EventClosed)) {
		go h.again()
		time.Sleep(50 * time.Millisecond)
	}
}

// TestFeedSubscribesAgainWhileItEnds ends a subscription that is catching up, and
// concurrently begins the next one. It is most useful with the race detector.
func TestFeedSubscribesAgainWhileItEnds(t *testing.T) {
	t.Parallel()
	log := logOf(20)
	node := newCluster(t, log, 1, nil)[0]
	s := &hasty{recorder: newRecorder(node.hub, "u")}
	subscribe := func() {
		_, err := node.feed.Subscribe(t.Context(), s, SubscribeRequest{
			GroupID: "g", Since: new(int64(1)), Admit: func(group.Group, *group.Member) error { return nil },
		})
		if err != nil || !node.feed.Release(s, "g") {
			t.Errorf("subscribe: %v", err)
		}
	}
	var wg sync.WaitGroup
	wg.Add(1)
	s.again = func() {
		defer wg.Done()
		subscribe()
	}
	s.busy.Store(true)
	subscribe()
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MemberBanned, `{"userId":"u"}`)})
	s.busy.Store(false)
	wg.Wait()
	s.await(t, func() bool { return s.last() == log.head("g") })
	if !node.feed.IsSubscribed(s, "g") {
		t.Error("the second subscription is missing")
	}
}
