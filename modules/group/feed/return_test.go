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

// gatedLog is a log whose reads do not return before it is opened. Once all
// subscribers are being answered, pages wait until they have their answers:
// databases are slower than that.
type gatedLog struct {
	*memoryLog
	all      int64
	open     chan struct{}
	answered chan struct{}
	inside   atomic.Int64 // subscribers whom a read answers, or has
}

func (l *gatedLog) Read(ctx context.Context, groupID string, since int64, limit int, users []string) (group.LogPage, error) {
	inside := l.inside.Add(int64(len(users)))
	<-l.open
	if len(users) == 0 && inside == l.all {
		<-l.answered
	}
	return l.memoryLog.Read(ctx, groupID, since, limit, users)
}

// TestFeedSharesTheReturnOfAll: all subscribers of a group come back at once,
// from different versions, as after the end of a node. Each gets everything
// that it missed, for a few reads of the log altogether, however far back.
func TestFeedSharesTheReturnOfAll(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                        string
		subscribers, missed, behind int
		reads                       int // at most
	}{
		// The first one's read, and one for all who came while it went on.
		{"ten thousand who missed a little", 10_000, 30, 29, 2},
		// The same, and the pages that an answer does not hold: three for the
		// first one alone, and for all the others.
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
			t.Logf("%d subscribers came back, up to %d events behind: %d reads of the log, all answered after %s, all there after %s",
				tc.subscribers, tc.missed, reads, answered.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			if reads > tc.reads {
				t.Errorf("%d reads of the log, want at most %d", reads, tc.reads)
			}
			node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
			for _, s := range subs {
				s.await(t, func() bool { return s.last() == log.head("g") })
			}
			if n := log.readings(); n != reads {
				t.Errorf("one event more cost %d reads", n-reads)
			}
		})
	}
}

// TestFeedSharesPages: subscribers come back one after the other, each having
// seen a little less or more than the one before, or nothing. While the group
// stays what it is they share two reads of the log; each change costs another.
func TestFeedSharesPages(t *testing.T) {
	t.Parallel()
	log := logOf(200)
	node := newCluster(t, log, 1, nil)[0]
	began := time.Now()
	inTime := func() bool { return time.Since(began) < sharedAge } // on a busy machine pages grow old meanwhile
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
	log.post("g", group.MessagePosted, `{}`) // by another node, of which this one has not heard
	comeBack(1 + 1)                          // and one for the one who stays
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	stays.await(t, func() bool { return stays.last() == log.head("g") })
	comeBack(1)
	if !shares(node.feed, "g") && inTime() {
		t.Fatal("no page is shared")
	}
	stays.await(t, func() bool { return !shares(node.feed, "g") })
}

// shares reports whether a page of a group's log is kept for who comes next.
func shares(f *Feed, groupID string) bool {
	t := f.topic(groupID)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shared != nil
}

// TestFeedForgetsAnotherHistory: the log goes back, as after a failover to a
// replica that was behind, and is at the same version again at once. Who comes
// then is answered from what it is now.
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
		t.Errorf("sent %q", comes.data)
	}
}

// waitingFor returns how many subscribers of a group wait for a read to begin.
func waitingFor(f *Feed, groupID string) int {
	t := f.topic(groupID)
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// first returns the version that the subscriber began after.
func (r *recorder) first() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.versions[0]
}
