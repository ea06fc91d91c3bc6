package feed

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// gatedLog is a log whose reads block until open is closed. Reads of further pages also
// wait until all subscribers have their answers, because a real database would be slower,
// too.
type gatedLog struct {
	*memoryLog
	all      int64
	open     chan struct{}
	answered chan struct{}
	inside   atomic.Int64 // number of subscribers that a read serves or has served
}

func (l *gatedLog) Read(ctx context.Context, groupID string, since int64, limit int, users []string) (group.LogPage, error) {
	inside := l.inside.Add(int64(len(users)))
	<-l.open
	if len(users) == 0 && inside == l.all {
		<-l.answered
	}
	return l.memoryLog.Read(ctx, groupID, since, limit, users)
}

// TestFeedSharesTheReturnOfAll subscribes all subscribers of a group at once from different
// versions, as after the death of a node. Each must get all missed events, with only a few
// reads of the log in total.
func TestFeedSharesTheReturnOfAll(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                        string
		subscribers, missed, behind int
		reads                       int // the maximum
	}{
		// One read for the first subscriber, and one for all who arrived during that read.
		{"ten thousand who missed a little", 10_000, 30, 29, 2},
		// The same two reads, and further pages: three for the first subscriber and three
		// for all others.
		{"who missed more than an answer holds", 50, 2*catchUpLimit + 200, 200, 2 + 2*3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			log := &gatedLog{memoryLog: newMemoryLog(), all: int64(tc.subscribers), open: make(chan struct{}), answered: make(chan struct{})}
			log.create("g")
			for range tc.missed {
				log.post("g", group.MessagePosted, `{}`)
			}
			node := newCluster(t, log, 1, nil)[0]
			subs := make([]*recorder, tc.subscribers)
			began := time.Now()
			var wg sync.WaitGroup
			for i := range subs {
				subs[i] = newRecorder(node.hub, fmt.Sprintf("u%d", i))
				wg.Go(func() { subs[i].follow(t, node.feed, "g", new(int64(1+i%tc.behind))) })
			}
			subs[0].await(t, func() bool { return int(log.inside.Load())+waitingFor(node.feed, "g") == tc.subscribers })
			close(log.open)
			wg.Wait()
			close(log.answered)
			answered := time.Since(began)
			for i, s := range subs {
				s.await(t, func() bool { return s.last() == log.head("g") })
				s.checkOrder(t)
				if first := s.first(); first != int64(1+i%tc.behind) {
					t.Fatalf("%s begins after version %d, want %d", s.user, first, 1+i%tc.behind)
				}
			}
			reads := log.readings()
			t.Logf("%d subscribers up to %d events behind: %d reads of the log, all answered after %s, all caught up after %s",
				tc.subscribers, tc.missed, reads, answered.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			if reads > tc.reads {
				t.Errorf("%d reads of the log, want at most %d", reads, tc.reads)
			}
			node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
			for _, s := range subs {
				s.await(t, func() bool { return s.last() == log.head("g") })
			}
			if n := log.readings(); n != reads {
				t.Errorf("one more event took %d reads", n-reads)
			}
		})
	}
}

// TestFeedSharesPages subscribes one subscriber after the other, from different versions or
// from none. They share two reads of the log while the group does not change. Each change
// costs one more read.
func TestFeedSharesPages(t *testing.T) {
	t.Parallel()
	log := logOf(200)
	node := newCluster(t, log, 1, nil)[0]
	began := time.Now()
	inTime := func() bool { return time.Since(began) < sharedAge } // on a busy machine, the shared page may expire meanwhile
	comeBack := func(most int) {
		t.Helper()
		before := log.readings()
		for i, missed := range []int64{3, 5, 1, -1, 0, 40, 2, -1, 60, 4} {
			var since *int64
			if missed >= 0 {
				since = new(log.head("g") - missed)
			}
			s := newRecorder(node.hub, fmt.Sprintf("u%d", i))
			a := s.follow(t, node.feed, "g", since)
			if want := log.head("g") - max(missed, 0); a.Version != want || a.Group.Version != log.head("g") {
				t.Errorf("a subscriber that missed %d events begins at version %d of a group at %d, want %d of %d",
					missed, a.Version, a.Group.Version, want, log.head("g"))
			}
			s.await(t, func() bool { return s.last() == log.head("g") })
			s.checkOrder(t)
			node.feed.Unsubscribe(s, "g", group.EndLeft)
		}
		if n := log.readings() - before; n > most && inTime() {
			t.Errorf("%d reads of the log, want at most %d", n, most)
		}
	}
	stays := newRecorder(node.hub, "stays")
	stays.follow(t, node.feed, "g", nil)
	comeBack(2)
	log.post("g", group.MessagePosted, `{}`) // committed by another node; this node does not know it yet
	comeBack(1 + 1)                          // one more for the subscriber who stays
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	stays.await(t, func() bool { return stays.last() == log.head("g") })
	comeBack(1)
	if !shares(node.feed, "g") && inTime() {
		t.Fatal("no page is shared")
	}
	stays.await(t, func() bool { return !shares(node.feed, "g") })
}

// shares reports whether the feed keeps a page of the group's log for the next subscribers.
func shares(f *Feed, groupID string) bool {
	t := f.topic(groupID)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shared != nil
}

// TestFeedForgetsAnotherHistory sets the log back, as after a failover to a replica that
// was behind, and fills it to the same version with other events. A new subscriber must get
// the new events.
func TestFeedForgetsAnotherHistory(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	for range 9 {
		log.post("g", group.MessagePosted, `"before"`)
	}
	node := newCluster(t, log, 1, nil)[0]
	newRecorder(node.hub, "stays").follow(t, node.feed, "g", new(int64(5)))
	log.rewind("g", 7)
	for range 3 {
		log.post("g", group.MessagePosted, `"after"`)
	}
	comes := newRecorder(node.hub, "comes")
	comes.follow(t, node.feed, "g", new(int64(7)))
	comes.await(t, func() bool { return comes.last() == 10 })
	comes.mu.Lock()
	defer comes.mu.Unlock()
	if !slices.Equal(comes.data, []string{`"after"`, `"after"`, `"after"`}) {
		t.Errorf("received %q", comes.data)
	}
}

// waitingFor returns the number of subscribers of a group that wait for a read to begin.
func waitingFor(f *Feed, groupID string) int {
	t := f.topic(groupID)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// first returns the version of the answer to the subscription. All later versions are events.
func (r *recorder) first() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.versions[0]
}
