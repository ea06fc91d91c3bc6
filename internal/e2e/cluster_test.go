package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// startCluster runs nodes with one configuration until the test ends.
func startCluster(t *testing.T, nodes int, env ...string) *deployment {
	t.Helper()
	d := &deployment{token: func(user string) string { return mint(user, time.Hour) }}
	for range nodes {
		d.nodes = append(d.nodes, startNode(t, append([]string{"MOIM_AUTH_SECRET=" + secret}, env...)...))
	}
	d.driver = startDriver(t)
	return d
}

// TestSharedRedis runs the main job on two nodes with one Redis and one PostgreSQL.
func TestSharedRedis(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t))
	began := time.Now()
	mainJob(t, d)
	t.Logf("the main job took %s on two nodes with a shared Redis", time.Since(began).Round(time.Millisecond))
	anotherDatabaseIsRefused(t, redis, postgres)
}

// anotherDatabaseIsRefused checks that a node with another database is refused under the same
// prefix, with a reason, and starts under another prefix.
func anotherDatabaseIsRefused(t *testing.T, redis *redistest.Server, postgres *pgtest.Server) {
	t.Helper()
	env := []string{"MOIM_AUTH_SECRET=" + secret, "MOIM_REDIS_URL=" + redis.URL(), "MOIM_DATABASE_URL=" + postgres.NewDatabase(t)}
	printed := newNode(t, env...).refused(startWithin)
	for _, word := range []string{"prefix", "database"} {
		if !strings.Contains(printed, word) {
			t.Errorf("the refusal of a node with another database does not mention the %s:\n%s", word, printed)
		}
	}
	startNode(t, append(env, "MOIM_REDIS_PREFIX=elsewhere")...)
}

// TestT58JoinsAtCapacity lets many users join a group with few free seats, on all nodes at once.
// The group must never have more members than seats.
func TestT58JoinsAtCapacity(t *testing.T) {
	t.Parallel()
	const seats, wanting = 10, 500
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 3, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t))
	var g group
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups",
		object{"name": "Boat", "visibility": "public", "joinPolicy": "open", "capacity": seats}, &g)
	watching := d.ws(t, 1, "ana")
	watching.subscribe(g.ID)

	var joined, full atomic.Int64
	var work sync.WaitGroup
	began := time.Now()
	for i := range wanting {
		work.Go(func() {
			join := func() (int, error) {
				return d.api(i, fmt.Sprintf("user-%d", i)).do(t.Context(), http.MethodPost, "/groups/"+g.ID+"/join", nil, nil)
			}
			status, err := join()
			// All calls lock the same row. A call that waited too long was not decided, or the
			// user was added.
			for status == http.StatusServiceUnavailable && time.Since(began) < patience {
				status, err = join()
			}
			refusal, refused := err.(*apiError) //nolint:errorlint // exactly as it was returned
			switch {
			case status == http.StatusOK && err == nil:
				joined.Add(1)
			case status == http.StatusConflict && refused && refusal.Code == "group_full":
				full.Add(1)
			default:
				t.Errorf("join: %d, %v", status, err)
			}
		})
	}
	work.Wait()
	t.Logf("T58: %d joins at once on three nodes: %d in, %d refused, %s", wanting, joined.Load(), full.Load(), time.Since(began).Round(time.Millisecond))
	if joined.Load() != seats-1 || full.Load() != wanting-(seats-1) { // the owner has one
		t.Errorf("%d joined and %d were refused, want %d and %d", joined.Load(), full.Load(), seats-1, wanting-(seats-1))
	}
	watching.needVersion(g.ID, seats, soon) // created, and one join for each member
	for i := range d.nodes {
		var now group
		d.api(i, "ana").must(t, http.StatusOK, http.MethodGet, "/groups/"+g.ID, nil, &now)
		var members page[member]
		d.api(i, "ana").must(t, http.StatusOK, http.MethodGet, "/groups/"+g.ID+"/members?limit=200", nil, &members)
		if now.MemberCount != seats || len(members.Items) != seats || now.Version != seats {
			t.Errorf("node %d: memberCount %d, %d members, version %d; want %d each", i, now.MemberCount, len(members.Items), now.Version, seats)
		}
	}
}

// TestRemovedEverywhere checks that a member who is removed on one node is removed on every node,
// with all their sockets.
func TestRemovedEverywhere(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 3, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t))
	groupID := newGroup(t, d, "bo")
	var bobs, anas []*client
	for i := range d.nodes {
		bobs = append(bobs, d.io(t, i, "bo"), d.ws(t, i, "bo"))
		anas = append(anas, d.ws(t, i, "ana"))
	}
	for _, c := range append(anas, bobs...) {
		c.subscribe(groupID)
	}

	began := time.Now()
	d.api(0, "ana").must(t, http.StatusNoContent, http.MethodDelete, "/groups/"+groupID+"/members/bo", nil, nil)
	answered := time.Since(began)
	for i := range d.nodes { // the very next call, before the nodes have told each other
		d.api(i, "bo").mustRefuse(t, http.StatusNotFound, "not_found", http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{}})
	}
	for _, c := range bobs {
		c.mustRefuse("not_found", "group:message", object{"groupId": groupID, "data": object{}})
		c.needClosed(groupID, "removed", soon)
		lastEvent(t, c, groupID, "member.removed", "bo")
	}
	t.Logf("removed in %s; %d sockets on %d nodes were told within %s", answered.Round(time.Millisecond), len(bobs), len(d.nodes), time.Since(began).Round(time.Millisecond))

	var e event
	for i := range d.nodes {
		d.api(i, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{"n": i}}, &e)
	}
	for _, c := range anas {
		c.needVersion(groupID, e.Version, soon)
	}
	for _, c := range bobs { // an answer arrives after everything that was sent before it
		c.mustRefuse("not_found", "group:signal", object{"groupId": groupID, "type": "typing", "data": object{}})
		c.mustRefuse("not_found", "group:subscribe", object{"groupId": groupID})
		if got := c.stream(groupID).head(); got != 3 {
			t.Errorf("%s has version %d, want 3: its own removal", c.name, got)
		}
	}
}

// newGroup creates a private group of ana's. A back end adds these members.
func newGroup(t *testing.T, d *deployment, members ...string) string {
	t.Helper()
	var g group
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": t.Name()}, &g)
	backend := api{base: d.node(0).URL(), token: mint("backend", time.Hour, `"scope":"admin"`)}
	for some := range slices.Chunk(members, 500) {
		backend.must(t, http.StatusOK, http.MethodPost, "/groups/"+g.ID+"/members", object{"userIds": some}, nil)
	}
	return g.ID
}
