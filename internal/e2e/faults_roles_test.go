package e2e

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/proxytest"
)

// survive breaks the server of the role while the application is used, and repairs it. Every
// change must be made meanwhile. Presence must be answered too, unless the broken role is the
// group role, which holds it.
func (r *roleTest) survive(name, what string, breakServer, repair func()) {
	r.t.Helper()
	watchers := r.watchers()
	o := r.storm(breakServer)
	repair()
	r.logOutage(name, what, o, r.back())
	if known := o.answered > 0; known != (r.role != "group") {
		r.t.Errorf("%d of 20 requests for presence were answered", o.answered)
	}
	r.needNobodyHeldUp(o)
	r.needOneLogLineEach(o)
	r.needEveryEventOnce(0)
	r.needNobodyDisconnected()
	r.needNobodyCalledGone(watchers)
}

// TestT13Blackholes keeps the connections of a role open but delivers nothing on them, for one
// role after the other.
func TestT13Blackholes(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"socket", "group", "cache"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			r := startOnRole(t, role)
			r.survive("T13", "blackhole", func() { r.onEach((*proxytest.Proxy).Freeze) }, func() { r.onEach((*proxytest.Proxy).Heal) })
		})
	}
}

// TestT21KillGroupRedis kills the server of the group role. It holds no durable data, so changes
// must still be made, although the fault list expects refusals. Presence may be unavailable but
// must never be wrong.
func TestT21KillGroupRedis(t *testing.T) {
	t.Parallel()
	r := startOnRole(t, "group")
	r.survive("T21", "kill -9, back empty", r.server.Kill, r.server.Restart)
}

// TestT28KillCacheRedis kills the server of the cache role. Everything must then be read from the
// database, once for all concurrent readers. The stampede test of modules/cache checks the same.
func TestT28KillCacheRedis(t *testing.T) {
	t.Parallel()
	r := startOnRole(t, "cache")
	r.survive("T28", "kill -9, back empty", r.server.Kill, r.server.Restart)
	for _, n := range r.nodes {
		if n.Metric("moim_cache_redis_reconnects_total") != 1 {
			t.Errorf("%s counted %v reconnections, want 1", n.name, n.Metric("moim_cache_redis_reconnects_total"))
		}
	}
}

// TestT11KillSocketRedisHoldsNobody checks that calls do not wait for the server of the socket
// role. TestT11KillSocketRedis checks what sessions see.
func TestT11KillSocketRedisHoldsNobody(t *testing.T) {
	t.Parallel()
	r := startOnRole(t, "socket")
	r.survive("T11", "kill -9, back empty", r.server.Kill, r.server.Restart)
}

// TestT27SlowGroupRedis delays all traffic with the server of the group role by half a second.
// Presence may be slower or unavailable, within its deadline. Everything else must work as usual.
func TestT27SlowGroupRedis(t *testing.T) {
	t.Parallel()
	r := startOnRole(t, "group")
	r.onEach(func(p *proxytest.Proxy) { p.Delay(250 * time.Millisecond) }) // in each direction
	change, read := r.change(300)
	answered, presence := r.presences(0, 10)
	began := time.Now()
	r.needEveryEventOnce(0)
	r.needNobodyDisconnected()
	for i := range r.nodes {
		if h := r.nodes[i].health(); h.Status != "ready" && h.Status != "degraded" {
			t.Errorf("%s is %s", r.nodes[i].name, h.Status)
		}
	}
	t.Logf("T27: group role 500 ms away: 300 changes, the slowest %s, the slowest reading %s, every session had them %s later; presence: %d of 10 answered, the slowest %s; worst lateness %s",
		round(change), round(read), round(time.Since(began)), answered, round(presence), latest(r.sessions))
	if limit := 30 * time.Second; change > limit || read > limit || presence > limit {
		t.Errorf("a change took %s, a read %s, presence %s", change, read, presence)
	}
	if worst := latest(r.sessions); worst > 4500*time.Millisecond { // the nodes search the log for missed events every 5 s
		t.Errorf("an event was %s late", worst)
	}
	r.onEach((*proxytest.Proxy).Heal)
	r.back()
}

// TestT34PartitionedFromGroupRedis disconnects one node from the server of the group role. This
// node must serve everything but presence. The other node must serve everything, and its members
// must never be shown as gone.
func TestT34PartitionedFromGroupRedis(t *testing.T) {
	t.Parallel()
	r := startOnRole(t, "group")
	watcher := watchPresence(t, r.ws(t, 1, "ana"), r.groups[0])
	r.links[0].Cut()
	began := time.Now()
	need(t, time.Minute, "the node says that the role is down", func() bool { return r.up(r.nodes[0]) == 0 })
	noticed := time.Since(began)
	change, read := r.change(500)
	if answered, _ := r.presences(0, 10); answered > 0 {
		t.Error("the disconnected node answers a request for presence")
	}
	if answered, slowest := r.presences(1, 10); answered < 10 || slowest > 30*time.Second {
		t.Errorf("the other node answered %d of 10 requests for presence, the slowest in %s", answered, slowest)
	}
	if h := r.nodes[1].health(); h.Status != "ready" {
		t.Errorf("the other node is %s", h.Status)
	}
	// The lease of the partitioned node expires, because the other node cannot know that its
	// members are connected.
	need(t, time.Minute, "its members are shown to be reconnecting", func() bool {
		for _, s := range r.on(0) {
			if s.groupID == r.groups[0] && len(pushedPresence(watcher, s.groupID, s.user)) == 0 {
				return false
			}
		}
		return true
	})
	lost := time.Since(began)
	r.links[0].Heal()
	back := r.back()
	r.needEveryEventOnce(0)
	r.needNobodyDisconnected()
	for _, s := range r.on(1) {
		for _, told := range pushedPresence(watcher, r.groups[0], s.user) {
			if told != "online" {
				t.Errorf("received %s of %s, who was online on the other node", told, s.user)
			}
		}
	}
	t.Logf("T34: one node of two without the group role: noticed after %s; 500 changes on both, the slowest %s, the slowest reading %s; "+
		"its members reconnecting after %s; back %s after it was healed", round(noticed), round(change), round(read), round(lost), round(back))
}

// TestT30ColdCache empties the server of the cache role. Then all clients read everything at
// once.
func TestT30ColdCache(t *testing.T) {
	t.Parallel()
	r := startOnRole(t, "cache")
	var paths []string
	for range 100 {
		paths = append(paths, "/groups/"+newGroup(t, r.deployment))
	}
	sweep := func() time.Duration {
		took := make([]time.Duration, 10*len(paths))
		var work sync.WaitGroup
		for w := range 10 {
			work.Go(func() {
				for i, path := range paths {
					began := time.Now()
					r.api(w, "ana").must(t, http.StatusOK, http.MethodGet, path, nil, nil)
					took[w*len(paths)+i] = time.Since(began)
				}
			})
		}
		work.Wait()
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	sweep()
	warm := sweep()
	loads := func() (sum float64) {
		for _, n := range r.nodes {
			sum += n.Metric("moim_cache_loads_total")
		}
		return sum
	}
	before := loads()
	r.server.Restart()
	for _, n := range r.nodes {
		need(t, time.Minute, "the node has dropped its own copies", func() bool { return n.Metric("moim_cache_redis_reconnects_total") >= 1 })
	}
	cold := sweep()
	reads := loads() - before
	warm = max(warm, sweep()) // the machine may be slower now than before
	t.Logf("T30: p99 of reading 100 groups on two nodes at once: %s warm, %s with an empty cache; %v reads of the database", warm.Round(time.Millisecond), cold.Round(time.Millisecond), reads)
	if cold > 2*warm+5*time.Second { // the two cores also do other work
		t.Errorf("p99 is %s cold, %s warm", cold, warm)
	}
	if reads < float64(len(paths)) || reads > float64(2*len(paths)*len(r.nodes)) {
		t.Errorf("%v reads of the database for %d records", reads, len(paths))
	}
}
