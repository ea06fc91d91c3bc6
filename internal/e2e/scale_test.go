package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// pair starts two nodes on one Redis and one PostgreSQL.
func pair(t *testing.T) *deployment {
	t.Helper()
	redis, postgres := redistest.Start(t), pgtest.Start(t).NewDatabase(t)
	d := &deployment{token: func(user string) string { return mint(user, time.Hour) }}
	for range 2 {
		d.nodes = append(d.nodes, startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres,
			"MOIM_GROUP_LIMIT_OWNED=100000")) // one user creates all groups
	}
	return d
}

// TestT92ManyGroupsComeBack connects 10,000 sockets to one node, each in its own group, and kills
// the node. The sockets must be connected to the other node within 8 s on two quiet processors.
func TestT92ManyGroupsComeBack(t *testing.T) {
	sockets := inSoak(0, 10_000)
	if sockets == 0 {
		t.Skip("make soak runs it")
	}
	const most = 8 * time.Second
	d := pair(t)
	f := &fleet{t: t, d: d, groups: make([]string, sockets)}
	var makers sync.WaitGroup
	for w := range 8 {
		makers.Go(func() {
			for i := w; i < sockets; i += 8 {
				f.groups[i] = newGroup(t, d, fmt.Sprint("user-", i))
			}
		})
	}
	makers.Wait()
	for i, groupID := range f.groups {
		user := fmt.Sprint("user-", i)
		f.sessions = append(f.sessions, &session{inbox: newInbox(user), user: user, groupID: groupID, endpoint: plain})
	}
	f.start()
	if n := len(f.on(0)); n != sockets {
		t.Fatalf("%d sockets are at the first node, want %d", n, sockets)
	}
	d.node(0).Kill()
	began := time.Now()
	f.needAll(5*time.Minute, "every session is subscribed at the other node", func(s *session) bool { return s.at.Load() == 1 })
	took := time.Since(began)
	t.Logf("T92: %d sockets of as many groups were back %s after the death of their node", sockets, took.Round(10*time.Millisecond))
	if took > most {
		t.Errorf("T92: it took %s, want at most %s on two quiet processors", took, most)
	}
}

// TestT93PostsThroughTwoNodes posts 1,000 messages a second through two nodes with PostgreSQL on
// two processors. TestRoundTripsOfACall counts the database round trips of a post.
func TestT93PostsThroughTwoNodes(t *testing.T) {
	during := inSoak(0, 30*time.Second)
	if during == 0 {
		t.Skip("make soak runs it")
	}
	const rate = 1000
	d := pair(t)
	f := newFleet(t, d, 100, 2)
	l := startLoad(t, d, f.groups, 64, rate)
	<-time.After(during)
	l.stop()
	perSecond := float64(l.acked.Load()) / during.Seconds()
	t.Logf("T93: %.0f posts a second through two nodes at PostgreSQL, the slowest took %s, %d were made again; events were at most %s late",
		perSecond, time.Duration(l.slowest.Load()).Round(time.Millisecond), l.again.Load(), latest(f.sessions))
	if perSecond < 0.95*rate {
		t.Errorf("T93: %.0f posts a second, want %d on two quiet processors", perSecond, rate)
	}
	f.needEveryEventOnce(0)
}
