package e2e

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// storm is the number of changes that are made while a fault lasts.
const storm = 300

// catchUp is the longest delay of an event while SQL is up, whatever else is down. It includes a
// margin for two busy cores.
const catchUp = 5*time.Second + 25*time.Second

// changesDuring posts messages from several writers, through the nodes in turn. It calls at[n]
// once n of them are acknowledged. It retries a call that a node did not answer on the next node.
// Such a change may exist twice.
func changesDuring(t *testing.T, d *deployment, groupID string, total int64, at map[int64]func()) (unanswered int64) {
	t.Helper()
	var begun, done, lost atomic.Int64
	var work sync.WaitGroup
	for w := range 6 {
		work.Go(func() {
			for i := w; begun.Add(1) <= total; i++ {
				for try := 0; ; try++ {
					status, err := d.api(i+try, "ana").do(t.Context(), http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{"writer": w, "n": i}}, nil)
					if err == nil {
						break
					}
					if refusal, ok := errors.AsType[*apiError](err); ok || try > 10*len(d.nodes) {
						t.Errorf("change %d: %d, %v", i, status, refusal)
						break
					}
					lost.Add(1)
				}
				if then := at[done.Add(1)]; then != nil {
					then()
				}
			}
		})
	}
	work.Wait()
	return lost.Load()
}

// everyoneHas waits until all clients have the group's current version, and returns it. The
// clients themselves check that they got each version once and in order.
func everyoneHas(t *testing.T, d *deployment, survivor int, groupID string, all []*client) int64 {
	t.Helper()
	var g group
	d.api(survivor, "ana").must(t, http.StatusOK, http.MethodGet, "/groups/"+groupID, nil, &g)
	for _, c := range all {
		c.needVersion(groupID, g.Version, catchUp)
	}
	return g.Version
}

// TestT11KillSocketRedis kills the server of the socket role while changes are made, starts it
// again without data, and kills it again for longer. No change may be refused, and no subscriber
// may miss one. No change may wait for the server: events must arrive at once on the same node,
// and at most 5 s late on the others.
func TestT11KillSocketRedis(t *testing.T) {
	t.Parallel()
	shared, sockets, postgres := redistest.Start(t), redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+shared.URL(), "MOIM_REDIS_SOCKET_URL="+sockets.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t))
	groupID := newGroup(t, d, "bo")
	all := []*client{d.io(t, 0, "ana"), d.ws(t, 0, "bo"), d.io(t, 1, "bo"), d.ws(t, 1, "ana")}
	for _, c := range all {
		c.subscribe(groupID)
	}
	change := func(total int64, at map[int64]func()) int64 {
		if unanswered := changesDuring(t, d, groupID, total, at); unanswered > 0 {
			t.Errorf("%d calls were not answered", unanswered)
		}
		began := time.Now()
		head := everyoneHas(t, d, 0, groupID, all)
		t.Logf("%d changes; everyone had version %d %s after the last answer", total, head, time.Since(began).Round(time.Millisecond))
		return head
	}

	var killed time.Time
	change(storm, map[int64]func(){
		storm / 3: func() {
			killed = time.Now() // before Kill, because the function that restarts it may read it
			sockets.Kill()
		},
		storm * 2 / 3: func() {
			sockets.Restart()
			t.Logf("the socket role's Redis was down for %s", time.Since(killed).Round(time.Millisecond))
		},
	})
	head := change(storm/6, map[int64]func(){storm / 12: sockets.Kill}) // and keep it down
	if want := int64(2 + storm + storm/6); head != want {               // created, bo joined
		t.Errorf("the group's head is %d, want %d", head, want)
	}
	// This makes single changes on one node, and nothing else tells the other node about them.
	// The other node must find them by itself. A busy machine may delay some.
	const changes, fast = 5, 2 * time.Second // the node finds it in the log within 5 s
	atOnce := 0
	for range changes {
		began := time.Now()
		var local event
		d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{}}, &local)
		if wait(fast, func() bool { // on the node of the change
			return all[0].stream(groupID).head() >= local.Version && all[1].stream(groupID).head() >= local.Version
		}) {
			atOnce++
		}
		here := time.Since(began)
		everyoneHas(t, d, 0, groupID, all)
		t.Logf("T11: without the socket role a change reached the sockets of its own node in %s, of the other one in %s",
			here.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	if atOnce <= changes/2 {
		t.Errorf("%d of %d changes reached the sockets of their own node within %s", atOnce, changes, fast)
	}
	if status, err := d.node(0).probe("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz answers %d, %v without the socket role, want 200", status, err)
	}

	sockets.Restart()
	need(t, time.Minute, "an event crosses the nodes at once again, not by reading the log", func() bool {
		var e event
		d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{}}, &e)
		return wait(500*time.Millisecond, func() bool { return all[2].stream(groupID).head() >= e.Version })
	})
}

// TestDatabaseDown stops SQL. Every durable call must be answered with 503 at once. Sockets must
// stay open, and everything must work again when SQL is back.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t))
	groupID := newGroup(t, d, "bo")
	ana, bo := d.io(t, 0, "ana"), d.ws(t, 1, "bo")
	for _, c := range []*client{ana, bo} {
		c.subscribe(groupID)
	}

	postgres.Kill()
	for i := range d.nodes {
		const waited = 4 * time.Second // a call that waited for its timeout would take 5 s
		took := waited + 1
		for tries := 0; took > waited && tries < 5; tries++ { // a busy machine may delay some
			began := time.Now()
			d.api(i, "ana").mustRefuse(t, http.StatusServiceUnavailable, "unavailable", http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{}})
			took = time.Since(began)
		}
		if took > waited {
			t.Errorf("node %d took %s to answer 503", i, took)
		}
		need(t, soon, "the node is not ready", func() bool {
			status, err := d.node(i).probe("/readyz")
			return err == nil && status == http.StatusServiceUnavailable
		})
	}
	ana.mustRefuse("unavailable", "group:message", object{"groupId": groupID, "data": object{}})
	bo.must("group:signal", object{"groupId": groupID, "type": "typing", "data": object{}}, nil)
	need(t, soon, "a signal crosses the nodes without SQL", func() bool { return len(ana.pushes("group:signal")) == 1 })

	postgres.Restart()
	began := time.Now()
	var e event
	need(t, catchUp, "changes are accepted again", func() bool {
		return bo.request("group:message", object{"groupId": groupID, "data": object{}}, &e) == nil
	})
	t.Logf("a change was accepted %s after the database came back", time.Since(began).Round(time.Millisecond))
	for _, c := range []*client{ana, bo} {
		c.needVersion(groupID, e.Version, catchUp)
		if got := c.disconnects(); len(got) > 0 {
			t.Errorf("%s was disconnected: %v", c.name, got)
		}
	}
	for i := range d.nodes {
		need(t, soon, "the node is ready again", func() bool {
			status, err := d.node(i).probe("/readyz")
			return err == nil && status == http.StatusOK
		})
	}
}
