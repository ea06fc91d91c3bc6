package group

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

func (l *gatedLog) Read(ctx context.Context, groupID string, since int64, limit int, users []string) (LogPage, error) {
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
				log.post("g", MessagePosted, `{}`)
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
			node.feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
			for _, s := range subs {
				s.await(t, func() bool { return s.last() == log.head("g") })
			}
			if n := log.readings(); n != reads {
				t.Errorf("one event more cost %d reads", n-reads)
			}
		})
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
