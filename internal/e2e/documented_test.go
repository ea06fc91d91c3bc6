package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// backWithin is the time that a documented client may take to reconnect to a node that is up
// again. It waits longer after each failed attempt.
const backWithin = time.Minute

// TestDocumentedClientsMissNothing kills and restarts nodes while messages are posted and more
// clients connect. Each client must end with the log: every event once, in order.
func TestDocumentedClientsMissNothing(t *testing.T) {
	t.Parallel()
	d := startOnOne(t, 2)
	f := newFollowers(t, d)
	kills := inSoak(3, 20)
	users := []string{"bo", "cy"}
	for i := range kills {
		users = append(users, fmt.Sprintf("late-%d", i))
	}
	groupID := newGroup(t, d, users...)
	all := append(f.both(0, "bo", groupID), f.both(1, "cy", groupID)...)
	needStarted(t, all, 1)
	l := startLoad(t, d, []string{groupID}, 6, 100)
	early := slices.Clone(all)
	flow := func() {
		at := l.acked.Load()
		need(t, answerWithin, "messages flow", func() bool { return l.acked.Load() > at+50 })
	}
	for i := range kills {
		flow()
		d.node(i).Kill()
		flow()
		d.node(i).Restart()
		all = append(all, f.both(i, fmt.Sprintf("late-%d", i), groupID)...)
		needStarted(t, all, 1)
		needFollowed(t, d, all, groupID)
	}
	flow()
	l.stop()
	needFollowed(t, d, all, groupID)

	log := wholeLog(t, d.api(0, "ana"), groupID)
	for _, c := range all {
		got := c.received()
		if want := log[len(log)-len(got):]; !slices.EqualFunc(got, want, sameEvent) {
			t.Errorf("%s: its %d events are not the last of the log", c.name, len(got))
		}
		if n := c.started(); n != 1 {
			t.Errorf("%s started %d times", c.name, n)
		}
	}
	for _, c := range early {
		if lost, doubled := l.needEachOnce([]*stream{c.stream}); lost > 0 || doubled > 0 {
			t.Errorf("this happened with %s", c.name)
		}
	}
	t.Logf("%d clients followed %d events through %d kills", len(all), len(log), kills)
}

// TestDocumentedClientsAreTold checks three cases. A client asks again while the database is
// down. It starts again if the log went back. It ends if it is refused or its user is not a
// member any more.
func TestDocumentedClientsAreTold(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Start(t)
	database, err := url.Parse(postgres.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	d := startCluster(t, 1, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+database.String())
	n, ana, f := d.nodes[0], d.api(0, "ana"), newFollowers(t, d)
	groupID := newGroup(t, d, "bo")
	post := func() {
		ana.must(t, http.StatusCreated, http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{}}, nil)
	}
	refused := f.both(0, "eve", groupID)
	needOver(t, refused, "not_found")

	postgres.Kill()
	bo := f.both(0, "bo", groupID)
	need(t, backWithin, "both clients are told that the group is unavailable", func() bool {
		return n.Metric(`moim_socket_events_total{event="group:subscribe",outcome="failed"}`) >= 2
	})
	postgres.Restart()
	needStarted(t, bo, 1)
	for range 3 {
		post()
	}
	needFollowed(t, d, bo, groupID)

	// This leaves the log as it is after a backup is restored.
	postgres.Exec(t, strings.TrimPrefix(database.Path, "/"), fmt.Sprintf(
		`WITH gone AS (DELETE FROM events WHERE group_id = '%[1]s' AND version > 3), said AS (DELETE FROM outbox WHERE group_id = '%[1]s')
		UPDATE groups SET version = 3, moved_at = (extract(epoch FROM clock_timestamp()) * 1e6)::bigint WHERE id = '%[1]s'`, groupID))
	needStarted(t, bo, 2)
	post()
	needFollowed(t, d, bo, groupID)

	ana.must(t, http.StatusNoContent, http.MethodDelete, "/groups/"+groupID+"/members/bo", nil, nil)
	needOver(t, bo, "removed")
	for _, c := range bo {
		if e := c.received(); e[len(e)-1].Type != "member.removed" {
			t.Errorf("%s: the last event is %s", c.name, e[len(e)-1].Type)
		}
	}
	her := f.both(0, "ana", groupID)
	needStarted(t, her, 1)
	ana.must(t, http.StatusNoContent, http.MethodDelete, "/groups/"+groupID, nil, nil)
	needOver(t, her, "deleted")

	n.Kill()
	n.Restart() // each client reconnects, and none asks again
	for _, endpoint := range []string{"socketio", "plain"} {
		need(t, backWithin, "the clients are connected again", func() bool {
			return n.Metric(`moim_sockets{endpoint="`+endpoint+`"}`) == 3
		})
	}
	for _, c := range slices.Concat(refused, bo, her) {
		if wait(50*time.Millisecond, func() bool { return len(c.over()) != 1 }) {
			t.Errorf("%s is over: %v", c.name, c.over())
		}
	}
}

// needStarted waits until each client has started this many times.
func needStarted(t *testing.T, all []*follower, times int) {
	t.Helper()
	for _, c := range all {
		if !wait(backWithin, func() bool { return c.started() >= times }) {
			t.Fatalf("%s started %d times, want %d; over: %v", c.name, c.started(), times, c.over())
		}
	}
}

// needFollowed waits until each client has all events of the group.
func needFollowed(t *testing.T, d *deployment, all []*follower, groupID string) {
	t.Helper()
	var g group
	d.api(0, "ana").must(t, http.StatusOK, http.MethodGet, "/groups/"+groupID, nil, &g)
	for _, c := range all {
		if !wait(backWithin, func() bool { return c.head() >= g.Version }) {
			t.Fatalf("%s has version %d of %d", c.name, c.head(), g.Version)
		}
	}
}

// needOver waits until each client has reported that it ended.
func needOver(t *testing.T, all []*follower, why string) {
	t.Helper()
	for _, c := range all {
		if !wait(backWithin, func() bool { return len(c.over()) > 0 }) {
			t.Fatalf("%s is not over, want %s", c.name, why)
		}
		if got := c.over(); got[0] != why {
			t.Errorf("%s: over for %s, want %s", c.name, got[0], why)
		}
	}
}
