package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// whoIsThere is one item of GET …/presence and of group:presence.
type whoIsThere struct {
	UserID string          `json:"userId"`
	Status string          `json:"status"`
	Reason string          `json:"reason"`
	State  json.RawMessage `json:"state"`
}

// statusOf asks a node over HTTP for a member's presence. It is empty if the node does not list
// the member.
func statusOf(t *testing.T, a api, groupID, user string) string {
	t.Helper()
	var answered page[whoIsThere]
	if _, err := a.do(t.Context(), http.MethodGet, "/groups/"+groupID+"/presence?limit=200", nil, &answered); err != nil {
		return err.Error()
	}
	for _, p := range answered.Items {
		if p.UserID == user {
			return p.Status
		}
	}
	return ""
}

// pushedPresence returns the presence changes of a member that a client received, in order. An
// item is "reconnecting dropped", or `online {"x":1}` with a live state.
func pushedPresence(c *client, groupID, user string) []string {
	var all []string
	for _, data := range c.pushes("group:presence") {
		var change struct {
			GroupID string
			Items   []whoIsThere
		}
		if err := json.Unmarshal(data, &change); err != nil {
			return []string{err.Error()}
		}
		for _, p := range change.Items {
			if change.GroupID != groupID || p.UserID != user {
				continue
			}
			text := p.Status
			if p.Reason != "" {
				text += " " + p.Reason
			}
			if len(p.State) > 0 {
				text += " " + string(p.State)
			}
			all = append(all, text)
		}
	}
	return all
}

// needPresence waits until a client has received exactly these presence changes of a member.
func needPresence(t *testing.T, c *client, groupID, user string, within time.Duration, told ...string) {
	t.Helper()
	wait(within, func() bool { return len(pushedPresence(c, groupID, user)) >= len(told) })
	if got := pushedPresence(c, groupID, user); !slices.Equal(got, told) {
		t.Fatalf("within %s, %s received of %s: %q, want %q", within, c.name, user, got, told)
	}
}

const (
	// leaseEnds is the longest time until the users of a killed node are shown as reconnecting: a
	// lease, a heartbeat, and a margin for two busy cores.
	leaseEnds = 10*time.Second + 3*time.Second + 30*time.Second
	// takeoverWithin is the longest time after the end of a node until another node takes over its
	// users' grace.
	takeoverWithin = 3*time.Second + 30*time.Second
)

// TestPresence checks four cases on two nodes. A user who subscribes on one node is online on the
// other. A user who disconnects is reconnecting and then offline. A user who leaves is offline at
// once. A user whose node dies is reconnecting when the node's lease has expired.
func TestPresence(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=1s")
	groupID := newGroup(t, d, "bo", "cy", "dee", "eve")
	ana := d.ws(t, 0, "ana")
	var answered subscription
	ana.must("group:subscribe", object{"groupId": groupID, "presence": true}, &answered)
	ana.stream(groupID).begin(answered)
	if string(answered.Presence) == "null" || len(answered.Presence) == 0 {
		t.Errorf("subscribing with presence answered presence %s", answered.Presence)
	}

	began := time.Now()
	bo, cy, dee, eve := d.io(t, 1, "bo"), d.ws(t, 1, "cy"), d.io(t, 1, "dee"), d.ws(t, 1, "eve")
	for _, c := range []*client{bo, cy, dee, eve} {
		c.subscribe(groupID)
		needPresence(t, ana, groupID, c.user, soon, "online")
	}
	t.Logf("four online on the other node %s after connecting", time.Since(began).Round(time.Millisecond))
	for i := range d.nodes {
		need(t, soon, "every node says that bo is online", func() bool { return statusOf(t, d.api(i, "cy"), groupID, "bo") == "online" })
	}

	bo.must("presence:set", object{"groupId": groupID, "state": object{"x": 1}}, nil)
	needPresence(t, ana, groupID, "bo", soon, "online", `online {"x":1}`)
	bo.mustRefuse("validation_failed", "presence:set", object{"groupId": groupID, "state": 1})
	d.ws(t, 0, "cy").mustRefuse("bad_request", "presence:set", object{"groupId": groupID, "state": object{}})

	began = time.Now()
	cy.conn.close()
	dee.must("group:unsubscribe", object{"groupId": groupID}, nil)
	d.api(0, "ana").must(t, http.StatusNoContent, http.MethodDelete, "/groups/"+groupID+"/members/eve", nil, nil)
	needPresence(t, ana, groupID, "dee", soon, "online", "offline left")
	needPresence(t, ana, groupID, "eve", soon, "online", "offline removed")
	needPresence(t, ana, groupID, "cy", soon, "online", "reconnecting dropped", "offline dropped")
	if took := time.Since(began); took < time.Second {
		t.Errorf("cy was offline after %s, within the grace", took)
	}
	for user, status := range map[string]string{"ana": "online", "bo": "online", "cy": "offline", "dee": "offline", "eve": ""} {
		if got := statusOf(t, d.api(0, "ana"), groupID, user); got != status {
			t.Errorf("%s is %q, want %q", user, got, status)
		}
	}

	began = time.Now()
	d.node(1).Kill()
	needPresence(t, ana, groupID, "bo", leaseEnds, "online", `online {"x":1}`, `reconnecting node_lost {"x":1}`)
	t.Logf("reconnecting %s after his node died", time.Since(began).Round(time.Millisecond))
	needPresence(t, ana, groupID, "bo", 2*soon, "online", `online {"x":1}`, `reconnecting node_lost {"x":1}`, "offline node_lost")
	t.Logf("offline %s after his node died", time.Since(began).Round(time.Millisecond))
	if got := statusOf(t, d.api(0, "ana"), groupID, "ana"); got != "online" {
		t.Errorf("ana, whose node is up, is %q", got)
	}
}

// TestPresenceRollingRestart restarts the nodes one after the other. A user who reconnects within
// the grace must never be offline. A user who does not must become offline, although the node
// that started the grace has ended.
func TestPresenceRollingRestart(t *testing.T) {
	t.Parallel()
	const grace = 15 * time.Second
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE="+grace.String())
	groupID := newGroup(t, d, "bo", "cy", "dee")
	ana, bo, cy := d.ws(t, 1, "ana"), d.ws(t, 0, "bo"), d.ws(t, 0, "cy")
	for _, c := range []*client{ana, bo, cy} {
		c.subscribe(groupID)
		needPresence(t, ana, groupID, c.user, soon, "online")
	}
	bo.must("presence:set", object{"groupId": groupID, "state": object{"page": 7}}, nil)
	needPresence(t, ana, groupID, "bo", soon, "online", `online {"page":7}`)

	began := time.Now()
	d.node(0).Terminate()
	again := d.ws(t, 1, "bo")
	again.subscribe(groupID)
	needPresence(t, ana, groupID, "bo", soon, "online", `online {"page":7}`, `reconnecting drained {"page":7}`, `online {"page":7}`)
	d.node(0).Restart()
	needPresence(t, ana, groupID, "cy", grace+takeoverWithin, "online", "reconnecting drained", "offline drained")
	t.Logf("cy, whose node was restarted, was offline %s later", time.Since(began).Round(time.Millisecond))

	dee := d.ws(t, 0, "dee") // watches during the restart of the other node
	dee.subscribe(groupID)
	d.node(1).Terminate()
	back := d.ws(t, 0, "ana")
	back.subscribe(groupID)
	needPresence(t, dee, groupID, "ana", soon, "reconnecting drained", "online")
	d.node(1).Restart()
	needPresence(t, dee, groupID, "bo", grace+takeoverWithin, `reconnecting drained {"page":7}`, "offline drained")
	needPresence(t, dee, groupID, "ana", soon, "reconnecting drained", "online")
	for i := range d.nodes {
		if got := statusOf(t, d.api(i, "dee"), groupID, "ana"); got != "online" {
			t.Errorf("ana is %q", got)
		}
	}
}

// TestPresencePaused pauses a node for longer than its lease and resumes it. Its users must be
// reconnecting meanwhile, and online again afterwards, with one change each.
func TestPresencePaused(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=10s")
	groupID := newGroup(t, d, "bo", "cy", "dee")
	ana, bo, cy, dee := d.ws(t, 0, "ana"), d.ws(t, 1, "bo"), d.ws(t, 1, "cy"), d.ws(t, 1, "dee")
	for _, c := range []*client{ana, bo, cy, dee} {
		c.subscribe(groupID)
		needPresence(t, ana, groupID, c.user, soon, "online")
	}
	d.node(1).Pause()
	needPresence(t, ana, groupID, "bo", leaseEnds, "online", "reconnecting node_lost")
	d.ws(t, 0, "cy").subscribe(groupID) // cy's client has given up on that node
	cy.conn.close()
	dee.conn.close()
	for _, user := range []string{"bo", "dee"} {
		needPresence(t, ana, groupID, user, soon, "online", "reconnecting node_lost", "offline node_lost")
	}
	d.node(1).Resume()
	needPresence(t, ana, groupID, "bo", soon, "online", "reconnecting node_lost", "offline node_lost", "online")
	bo.must("group:signal", object{"groupId": groupID, "type": "x", "data": 1}, nil)
	wait(5*time.Second, func() bool { return false }) // wait to see that no more changes arrive
	needPresence(t, ana, groupID, "bo", 0, "online", "reconnecting node_lost", "offline node_lost", "online")
	needPresence(t, ana, groupID, "cy", 0, "online", "reconnecting node_lost", "online")
	needPresence(t, ana, groupID, "dee", 0, "online", "reconnecting node_lost", "offline node_lost")
	for user, status := range map[string]string{"bo": "online", "cy": "online", "dee": "offline"} {
		if got := statusOf(t, d.api(1, "ana"), groupID, user); got != status {
			t.Errorf("%s is %q, want %q", user, got, status)
		}
	}
}

// TestPresenceForgotten deletes all data of the group role's server. Connected users must not be
// shown as gone. A user in their grace must become offline if they do not reconnect.
func TestPresenceForgotten(t *testing.T) {
	t.Parallel()
	shared, groups, postgres := redistest.Start(t), redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+shared.URL(), "MOIM_REDIS_GROUP_URL="+groups.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=10s")
	groupID := newGroup(t, d, "bo", "cy", "dee")
	ana, bo, cy, dee := d.ws(t, 0, "ana"), d.ws(t, 1, "bo"), d.ws(t, 1, "cy"), d.ws(t, 1, "dee")
	for _, c := range []*client{ana, bo, cy, dee} {
		c.subscribe(groupID)
		needPresence(t, ana, groupID, c.user, soon, "online")
	}
	bo.must("presence:set", object{"groupId": groupID, "state": object{"x": 1}}, nil)
	needPresence(t, ana, groupID, "bo", soon, "online", `online {"x":1}`)
	cy.conn.close()
	dee.conn.close()
	needPresence(t, ana, groupID, "cy", soon, "online", "reconnecting dropped")
	d.ws(t, 0, "dee").subscribe(groupID)
	needPresence(t, ana, groupID, "dee", soon, "online", "reconnecting dropped", "online")
	if err := groups.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range d.nodes {
		need(t, leaseEnds, "every node knows again that bo is online", func() bool { return statusOf(t, d.api(i, "ana"), groupID, "bo") == "online" })
	}
	t.Logf("known again %s after everything was lost", time.Since(began).Round(time.Millisecond))
	needPresence(t, ana, groupID, "cy", leaseEnds+10*time.Second, "online", "reconnecting dropped", "offline dropped")
	t.Logf("cy was offline %s after everything was lost", time.Since(began).Round(time.Millisecond))
	needPresence(t, ana, groupID, "bo", 0, "online", `online {"x":1}`)
	needPresence(t, ana, groupID, "ana", 0, "online")
	if told := pushedPresence(ana, groupID, "dee"); slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, "offline") }) {
		t.Errorf("received of dee: %q", told)
	}
	var answered page[whoIsThere]
	d.api(0, "ana").must(t, http.StatusOK, http.MethodGet, "/groups/"+groupID+"/presence?limit=200", nil, &answered)
	for _, p := range answered.Items {
		if p.UserID == "bo" && !sameJSON(p.State, json.RawMessage(`{"x":1}`)) {
			t.Errorf("bo's state is %s", p.State)
		}
	}
}
