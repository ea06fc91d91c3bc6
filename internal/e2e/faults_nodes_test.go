package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// The tests of faults have the numbers of the list of faults that Moim is designed for: T01, T02
// and so on. Each test prints a measured value.

// startOnOne runs nodes with one Redis for all roles and one PostgreSQL.
func startOnOne(t *testing.T, nodes int, env ...string) *deployment {
	t.Helper()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	return startCluster(t, nodes, append([]string{"MOIM_REDIS_URL=" + redis.URL(), "MOIM_DATABASE_URL=" + postgres.NewDatabase(t)}, env...)...)
}

// TestT01KillOneNodeOfThree kills a node with kill -9 while 300 sessions listen. Sessions on
// other nodes must see no pause. Sessions of the killed node must get everything on another node,
// and must never be shown offline. A user who does not reconnect must be reconnecting when the
// node's lease ends, and offline after the grace.
func TestT01KillOneNodeOfThree(t *testing.T) {
	t.Parallel()
	const grace = 10 * time.Second
	d := startOnOne(t, 3, "MOIM_GROUP_PRESENCE_GRACE="+grace.String())
	f := newFleet(t, d, 10, inSoak(30, 300))
	browsers := []*client{d.io(t, 0, "ana"), d.io(t, 1, "ana")} // socket.io-client
	for _, c := range browsers {
		c.subscribe(f.groups[0])
	}
	watcher := watchPresence(t, d.ws(t, 0, "ana"), f.groups[0])
	f.needOnline(0, f.groups[0], d.api(0, "ana"))
	l := startLoad(t, d, f.groups, 6, 150)
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > 100 })

	const victim = 2
	orphans, others := f.on(victim), append(f.on(0), f.on(1)...)
	var lostForGood []*session
	for _, s := range orphans {
		if s.groupID == f.groups[0] && len(lostForGood) < 3 {
			lostForGood = append(lostForGood, s)
		}
	}
	d.nodes[victim].Kill()
	began := time.Now()
	for _, s := range lostForGood {
		s.leave()
	}
	for _, s := range orphans {
		need(t, soon, s.name+" notices", func() bool { return s.at.Load() != victim })
	}
	f.needAll(answerWithin, "every session is subscribed again", func(s *session) bool { return s.at.Load() >= 0 || s.over() })
	back := time.Since(began)
	at := l.acked.Load()
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > at+100 })
	l.stop()
	f.needEveryEventOnce(0)
	for _, c := range browsers {
		c.needVersion(f.groups[0], f.sessions[0].events().head(), catchUp)
	}
	lost, doubled := l.needEachOnce(f.streams())
	if worst := latest(others); worst > catchUp {
		t.Errorf("a session of another node received an event %s late", worst)
	}
	t.Logf("T01: %d sessions, the %d of the dead node back after %s; %d messages, %d lost, %d doubled; worst lateness elsewhere %s",
		len(f.sessions), len(orphans), back.Round(time.Millisecond), l.acked.Load(), lost, doubled, latest(others))

	for _, s := range lostForGood {
		needPresence(t, watcher, f.groups[0], s.user, time.Until(began.Add(leaseEnds+grace+soon)),
			append(toldOnline(watcher, f.groups[0], s.user), "reconnecting node_lost", "offline node_lost")...)
	}
	t.Logf("T01: users who did not reconnect were offline %s after the kill", time.Since(began).Round(time.Millisecond))
	for _, s := range f.sessions {
		if !s.over() && s.groupID == f.groups[0] && wasOffline(watcher, f.groups[0], s.user) {
			t.Errorf("%s was shown offline but was online", s.name)
		}
	}
	f.needOnline(0, f.groups[0], d.api(1, "ana"))
}

// toldOnline returns "online" if this was the first presence that a client received of a member.
// A client that subscribed after the member did not receive it.
func toldOnline(c *client, groupID, user string) []string {
	if told := pushedPresence(c, groupID, user); len(told) > 0 && told[0] == "online" {
		return []string{"online"}
	}
	return nil
}

// TestT02KillAllNodes kills all nodes, so no node remembers the sessions. Every acknowledged
// change must be there, and every session must continue at its version.
func TestT02KillAllNodes(t *testing.T) {
	t.Parallel()
	d := startOnOne(t, 3)
	f := newFleet(t, d, 10, inSoak(12, 100))
	l := startLoad(t, d, f.groups, 6, 150)
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > 100 })
	for _, n := range d.nodes {
		n.Kill()
	}
	f.needAll(soon, "every session notices", func(s *session) bool { return s.at.Load() < 0 })
	began := time.Now()
	for _, n := range d.nodes {
		n.run()
	}
	for _, n := range d.nodes {
		if err := n.ready(); err != nil {
			t.Fatalf("%s did not come back: %v", n.name, err)
		}
	}
	f.needAll(answerWithin, "every session is subscribed again", func(s *session) bool { return s.at.Load() >= 0 })
	back := time.Since(began)
	at := l.acked.Load()
	need(t, answerWithin, "messages flow", func() bool { return l.acked.Load() > at+100 })
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	f.needOnline(time.Minute, f.groups[0], d.api(0, "ana"))
	t.Logf("T02: 3 nodes killed and started again: %d sessions back after %s; %d messages, %d lost, %d doubled",
		len(f.sessions), back.Round(time.Millisecond), l.acked.Load(), lost, doubled)
}

// TestT03Drain sends SIGTERM under load. The node must report at once that it is not ready,
// accept no new socket, close its sockets one after the other and end in time. Nothing may be
// lost. A second SIGTERM must end it at once.
func TestT03Drain(t *testing.T) {
	t.Parallel()
	d := startOnOne(t, 2)
	f := newFleet(t, d, 5, inSoak(40, 400))
	l := startLoad(t, d, f.groups, 6, 200)
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > 100 })

	n := d.nodes[1]
	moving := f.on(1)
	began := time.Now()
	n.Signal(syscall.SIGTERM)
	need(t, soon, "the node is not ready any more", func() bool {
		status, err := n.probe("/readyz")
		return err != nil || status == http.StatusServiceUnavailable
	})
	unready := time.Since(began)
	if c, err := openPlain(t.Context(), n.URL(), d.token("ana"), newInbox("late")); err == nil {
		c.close()
		t.Error("a draining node accepted a handshake")
	}
	gone := func() (n int) {
		for _, s := range moving {
			if s.at.Load() != 1 {
				n++
			}
		}
		return n
	}
	need(t, soon, "the first half of the sockets is closed", func() bool { return gone() >= len(moving)/2 })
	half := time.Since(began)
	select {
	case <-n.exited:
	case <-time.After(stopWithin):
		t.Fatalf("the node still runs %s after SIGTERM", stopWithin)
	}
	if n.err != nil {
		t.Errorf("the node ended with %v, want exit code 0", n.err)
	}
	took := time.Since(began)
	// The node waits 10 ms between two sockets, for at most 5 s in all.
	if paced := min(5*time.Second, 10*time.Millisecond*time.Duration(len(moving))); half < paced/4 {
		t.Errorf("half of %d sockets were closed within %s, want them spread over %s", len(moving), half, paced)
	}
	f.needAll(answerWithin, "every session is subscribed again", func(s *session) bool { return s.at.Load() == 0 })
	at := l.acked.Load()
	need(t, soon, "messages flow", func() bool { return l.acked.Load() > at+50 })
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	t.Logf("T03: not ready after %s, %d sockets closed half after %s, exit code 0 after %s; %d messages, %d lost, %d doubled",
		unready.Round(time.Millisecond), len(moving), half.Round(time.Millisecond), took.Round(time.Millisecond), l.acked.Load(), lost, doubled)

	last := d.nodes[0]
	last.Signal(syscall.SIGTERM)
	need(t, soon, "the node drains", func() bool {
		status, err := last.probe("/readyz")
		return err != nil || status == http.StatusServiceUnavailable
	})
	began = time.Now()
	last.Signal(syscall.SIGTERM)
	select {
	case <-last.exited:
		t.Logf("T03: ended %s after the second SIGTERM", time.Since(began).Round(time.Millisecond))
	case <-time.After(soon):
		t.Errorf("the node still runs after the second SIGTERM")
	}
}

// TestT04FrozenNode stops a node with SIGSTOP for longer than its lease, like a long pause of its
// machine, and continues it. Its open sockets must receive what they missed, once.
func TestT04FrozenNode(t *testing.T) {
	t.Parallel()
	d := startOnOne(t, 2, "MOIM_GROUP_PRESENCE_GRACE=30s") // longer than the node is frozen, even on a busy machine
	f := newFleet(t, d, 2, 10)
	ana := d.ws(t, 0, "ana")
	groupID := f.groups[0]
	watchPresence(t, ana, groupID)

	frozen := d.nodes[1]
	stuck := f.on(1)
	his := stuck[0]
	f.needOnline(0, groupID, d.api(0, "ana"))
	frozen.Pause()
	t.Cleanup(frozen.Resume)
	began := time.Now()
	awake := &deployment{nodes: d.nodes[:1], token: d.token} // without the frozen node, which a load balancer would have removed
	l := startLoad(t, awake, f.groups, 2, 20)
	need(t, time.Minute, "the users of the frozen node are reconnecting", func() bool {
		return statusOf(t, d.api(0, "ana"), groupID, his.user) == "reconnecting"
	})
	asleep := time.Since(began)
	frozen.Resume()
	began = time.Now()
	for i := range d.nodes {
		f.needOnline(time.Minute, groupID, d.api(i, "ana"))
	}
	online := time.Since(began)
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	for _, s := range stuck {
		if s.follows.Load() != 1 {
			t.Errorf("%s was disconnected", s.name)
		}
		if wasOffline(ana, groupID, s.user) {
			t.Errorf("%s was shown offline within the grace", s.name)
		}
	}
	t.Logf("T04: frozen for %s, its %d sessions online again after %s; %d messages, %d lost, %d doubled; worst lateness on the other node %s",
		asleep.Round(time.Millisecond), len(stuck), online.Round(time.Millisecond), l.acked.Load(), lost, doubled, latest(f.on(0)))
}

// TestT05RollingRestart replaces all nodes one after the other under load, like an upgrade. Each
// node drains and starts again. There is no older release yet, so all nodes run this one. The
// procedure must cost no message and no call.
func TestT05RollingRestart(t *testing.T) {
	t.Parallel()
	d := startOnOne(t, 3)
	f := newFleet(t, d, 10, inSoak(12, 100))
	l := startLoad(t, d, f.groups, 6, 150)
	began := time.Now()
	for range inSoak(1, 10) {
		for _, n := range d.nodes {
			at := l.acked.Load()
			need(t, soon, "messages flow", func() bool { return l.acked.Load() > at+50 })
			n.Terminate()
			n.Restart()
		}
	}
	f.needAll(answerWithin, "every session is subscribed again", func(s *session) bool { return s.at.Load() >= 0 })
	l.stop()
	took := time.Since(began)
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	for _, s := range f.sessions {
		if s.follows.Load() < 2 {
			t.Errorf("%s was never disconnected by a restart", s.name)
		}
	}
	t.Logf("T05: 3 nodes restarted in turn in %s under %d sessions; %d messages, %d calls made again, slowest %s, %d lost, %d doubled",
		took.Round(time.Millisecond), len(f.sessions), l.acked.Load(), l.again.Load(),
		time.Duration(l.slowest.Load()).Round(time.Millisecond), lost, doubled)
}
