package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
)

// roleTest is two nodes with a fleet of sessions. Each node has its own link to the server of one
// role.
type roleTest struct {
	*deployment
	*fleet

	t      *testing.T
	role   string
	server *redistest.Server
	links  []*proxytest.Proxy
}

// The log lines of a node when a role goes down and when it is up again.
var roleLogs = map[string][2]string{
	"socket": {"other nodes cannot be reached", "other nodes can be reached again"},
	"group":  {"who is present is not known", "who is present is known again"},
	"cache":  {"rediscache: the server does not answer", "rediscache: the server answers again"},
}

func startOnRole(t *testing.T, role string) *roleTest {
	t.Helper()
	r := &roleTest{t: t, role: role, server: redistest.Start(t)}
	env := []string{"MOIM_AUTH_SECRET=" + secret, "MOIM_REDIS_URL=" + redistest.Start(t).URL(), "MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t)}
	r.deployment = &deployment{driver: startDriver(t), token: func(user string) string { return mint(user, time.Hour) }}
	for range 2 {
		link := proxytest.Start(t, r.server.Addr())
		r.links = append(r.links, link)
		r.nodes = append(r.nodes, startNode(t, append(env, "MOIM_REDIS_"+strings.ToUpper(role)+"_URL="+r.server.URLVia(link.Addr()))...))
	}
	r.fleet = newFleet(t, r.deployment, 2, 6)
	for _, groupID := range r.groups {
		for i := range r.nodes {
			r.needOnline(0, groupID, r.api(i, "ana"))
		}
	}
	return r
}

// onEach calls do for the link of each node.
func (r *roleTest) onEach(do func(*proxytest.Proxy)) {
	for _, link := range r.links {
		do(link)
	}
}

// health is the answer of /readyz.
type health struct {
	Status string
	Checks map[string]struct{ Status string }
}

func (n *node) health() (h health) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/readyz", nil)
	if err != nil {
		return h
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return h
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&h) // a failed read leaves h empty
	if resp.StatusCode != http.StatusOK {
		h.Status += " " + strconv.Itoa(resp.StatusCode)
	}
	return h
}

// up returns the value of moim_dependency_up for the role.
func (r *roleTest) up(n *node) float64 {
	return n.Metric(fmt.Sprintf("moim_dependency_up{dependency=%q}", "redis."+r.role))
}

// noticed waits until the nodes report in /readyz and on /metrics that the role is down and the
// others are up. It returns how long that took.
func (r *roleTest) noticed() time.Duration {
	r.t.Helper()
	began := time.Now()
	for _, n := range r.nodes {
		need(r.t, time.Minute, "the node says that the role is down", func() bool {
			h := n.health()
			return h.Status == "degraded" && h.Checks["redis."+r.role].Status == "down" && r.up(n) == 0
		})
	}
	took := time.Since(began)
	for _, n := range r.nodes {
		// Another role may be slow for a moment under this load.
		need(r.t, soon, n.name+" says that this role alone is down", func() bool {
			for name, check := range n.health().Checks {
				if (check.Status == "up") == (name == "redis."+r.role) {
					return false
				}
			}
			return true
		})
	}
	return took
}

// change makes this many changes on both nodes, and reads. No call may be refused. It returns the
// time of the slowest change and the slowest read.
func (r *roleTest) change(total int64) (change, read time.Duration) {
	r.t.Helper()
	var begun, slowestChange, slowestRead atomic.Int64
	var work sync.WaitGroup
	call := func(slowest *atomic.Int64, i int64, method, path string, body any) {
		began := time.Now()
		if status, err := r.api(int(i), "ana").do(r.t.Context(), method, path, body, nil); err != nil {
			r.t.Errorf("%s %s: %d, %v", method, path, status, err)
		}
		for took := int64(time.Since(began)); ; {
			if worst := slowest.Load(); took <= worst || slowest.CompareAndSwap(worst, took) {
				return
			}
		}
	}
	for range 20 {
		work.Go(func() {
			for i := begun.Add(1); i <= total; i = begun.Add(1) {
				path := "/groups/" + r.groups[int(i)%len(r.groups)]
				call(&slowestChange, i, http.MethodPost, path+"/messages", object{"data": object{"n": i}})
				call(&slowestRead, i, http.MethodGet, path, nil)
			}
		})
	}
	work.Wait()
	return time.Duration(slowestChange.Load()), time.Duration(slowestRead.Load())
}

// presences asks a node for presence this many times. It returns the number of answers and the
// time of the slowest answer or refusal.
func (r *roleTest) presences(node, times int) (answered int, slowest time.Duration) {
	r.t.Helper()
	for range times {
		began := time.Now()
		status, err := r.api(node, "ana").do(r.t.Context(), http.MethodGet, "/groups/"+r.groups[0]+"/presence", nil, nil)
		slowest = max(slowest, time.Since(began))
		refusal, refused := errors.AsType[*apiError](err)
		switch {
		case err == nil:
			answered++
		case !refused || status != http.StatusServiceUnavailable || refusal.Code != "unavailable":
			r.t.Errorf("presence: %d, %v", status, err)
		}
	}
	return answered, slowest
}

// back waits until the nodes report that the role is up, and their users can use it. It returns
// how long that took.
func (r *roleTest) back() time.Duration {
	r.t.Helper()
	began := time.Now()
	for i, n := range r.nodes {
		need(r.t, time.Minute, "the node says that the role is up", func() bool {
			return n.health().Status == "ready" && r.up(n) == 1
		})
		if r.role == "group" {
			for _, groupID := range r.groups {
				r.needOnline(time.Minute, groupID, r.api(i, "ana"))
			}
		}
	}
	if r.role == "socket" {
		need(r.t, time.Minute, "an event crosses the nodes at once", func() bool {
			var e event
			r.api(0, "ana").must(r.t, http.StatusCreated, http.MethodPost, "/groups/"+r.groups[0]+"/messages", object{"data": object{}}, &e)
			return wait(500*time.Millisecond, func() bool {
				for _, s := range r.sessions {
					if s.groupID == r.groups[0] && s.events().head() < e.Version {
						return false
					}
				}
				return true
			})
		})
	}
	return time.Since(began)
}

// The kinds of log lines about a role. See roleLogs.
const (
	went = iota
	cameBack
)

// told returns the log lines of a node about the role, in order: went or cameBack.
func (r *roleTest) told(n *node) (lines []int) {
	for line := range strings.Lines(n.log.String()) {
		for what, text := range roleLogs[r.role] {
			if strings.Contains(line, text) {
				lines = append(lines, what)
			}
		}
	}
	return lines
}

// needTold waits until the last log line of each node about the role is of this kind. It returns
// the lines of each node.
func (r *roleTest) needTold(what int) (lines [][]int) {
	r.t.Helper()
	for _, n := range r.nodes {
		var told []int
		need(r.t, time.Minute, n.name+" logs: "+roleLogs[r.role][what], func() bool {
			told = r.told(n)
			return len(told) > 0 && told[len(told)-1] == what
		})
		lines = append(lines, told)
	}
	return lines
}

// needNobodyDisconnected checks that no session had to reconnect.
func (r *roleTest) needNobodyDisconnected() {
	r.t.Helper()
	for _, s := range r.sessions {
		if s.follows.Load() != 1 {
			r.t.Errorf("%s was disconnected", s.name)
		}
	}
}

// needNobodyCalledGone checks that the watchers were told only that sessions are online.
func (r *roleTest) needNobodyCalledGone(watchers []*client) {
	r.t.Helper()
	for _, s := range r.sessions {
		for _, w := range watchers {
			for _, told := range pushedPresence(w, r.groups[0], s.user) {
				if told != "online" {
					r.t.Errorf("%s received %s of %s, who was always online", w.name, told, s.user)
				}
			}
		}
	}
}

// watchers returns clients that follow the first group's presence, one on each node.
func (r *roleTest) watchers() []*client {
	r.t.Helper()
	var all []*client
	for i := range r.nodes {
		all = append(all, watchPresence(r.t, r.ws(r.t, i, "ana"), r.groups[0]))
	}
	return all
}

// outage holds what was measured while a role's server was down.
type outage struct {
	change, read       time.Duration // the slowest of a thousand each
	presence           time.Duration // the slowest answer or refusal of twenty
	answered           int           // answered requests for presence, of twenty
	noticed            time.Duration // until /readyz and /metrics reported it
	stormed            time.Duration // until the thousand changes were made
	began, ended       [][]int       // the log lines of each node when it was noticed, and at its end
	goroutines, before []float64     // of each node: the most during the outage, and before it
}

// storm makes the role fail and makes a thousand changes meanwhile. All must be made. It also
// asks for presence.
func (r *roleTest) storm(hurt func()) (o outage) {
	r.t.Helper()
	r.change(100)
	for _, n := range r.nodes {
		o.before = append(o.before, n.Metric("go_goroutines"))
	}
	hurt()
	began := time.Now()
	most := r.countGoroutines()
	var work sync.WaitGroup
	work.Go(func() { o.change, o.read = r.change(1000) })
	o.noticed = r.noticed()
	work.Wait()
	o.stormed = time.Since(began)
	o.began = r.needTold(went) // wait until each node has logged it
	o.answered, o.presence = r.presences(0, 20)
	o.goroutines = most()
	for _, n := range r.nodes {
		o.ended = append(o.ended, r.told(n))
	}
	return o
}

// countGoroutines watches the number of goroutines of the nodes until the returned function is
// called. That function returns the largest number of each node.
func (r *roleTest) countGoroutines() func() []float64 {
	stop, done := make(chan struct{}), make(chan struct{})
	most := make([]float64, len(r.nodes))
	go func() {
		defer close(done)
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			for i, n := range r.nodes {
				most[i] = max(most[i], n.Metric("go_goroutines"))
			}
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	return func() []float64 {
		close(stop)
		<-done
		return most
	}
}

// needNobodyHeldUp checks that no call was slow and that the number of goroutines did not grow.
func (r *roleTest) needNobodyHeldUp(o outage) {
	r.t.Helper()
	if limit := 30 * time.Second; o.change > limit || o.read > limit || o.presence > limit {
		r.t.Errorf("a change took %s, a read %s, presence %s", o.change, o.read, o.presence)
	}
	for i, n := range r.nodes {
		if o.goroutines[i] > o.before[i]+150 {
			r.t.Errorf("%s had %v goroutines in the outage, %v before", n.name, o.goroutines[i], o.before[i])
		}
	}
}

// needOneLogLineEach checks that a node logs one line when the role goes down and one when it is
// up again, however many calls fail in between. On a busy machine, a node may log such a pair
// once more before or after the outage.
func (r *roleTest) needOneLogLineEach(o outage) {
	r.t.Helper()
	all := r.needTold(cameBack)
	for i, n := range r.nodes {
		if during := o.ended[i][len(o.began[i]):]; len(during) > 0 {
			r.t.Errorf("%s logged %d more lines while the role was gone", n.name, len(during))
		}
		for j, what := range all[i] {
			if what != j%2 { // went, cameBack, went …
				r.t.Errorf("%s logged the same state twice in a row: %v", n.name, all[i])
				break
			}
		}
		// These are the lines about the role, the lease, a refused request, and timeouts on a
		// busy machine.
		if warned := strings.Count(n.log.String(), `"level":"WARN"`); warned > 30 {
			r.t.Errorf("%s logged %d warnings about one outage", n.name, warned)
		}
	}
}

// logOutage writes what was measured to the test's log.
func (r *roleTest) logOutage(number, fault string, o outage, back time.Duration) {
	r.t.Helper()
	r.t.Logf("%s: %s role, %s: /readyz and /metrics say so after %s; 1000 changes in %s, the slowest %s, the slowest reading %s, presence (%d of 20 answered) %s; "+
		"worst lateness of an event %s; goroutines %v, then %v at most; back %s after it was healed", number, r.role, fault, round(o.noticed), round(o.stormed), round(o.change), round(o.read),
		o.answered, round(o.presence), latest(r.sessions), o.before, o.goroutines, round(back))
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
