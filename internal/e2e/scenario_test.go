package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// soon is the longest time that an event may take while everything is up. The documented time is
// much shorter, but the test machine has two busy cores.
const soon = 30 * time.Second

// deployment is the target of a scenario: one or many nodes, with any databases and Redis
// servers.
type deployment struct {
	nodes  []*node
	driver *driver
	token  func(user string) string
}

// node returns the node with index i modulo the number of nodes.
func (d *deployment) node(i int) *node { return d.nodes[i%len(d.nodes)] }

// api returns a client of the i-th node's HTTP API.
func (d *deployment) api(i int, user string) api {
	return api{base: d.node(i).URL(), token: d.token(user)}
}

// io and ws connect to the i-th node, with Socket.IO and with the plain protocol.
func (d *deployment) io(t *testing.T, i int, user string) *client {
	t.Helper()
	return connect(t, d.driver.endpoint(true), d.node(i), user, d.token(user))
}

func (d *deployment) ws(t *testing.T, i int, user string) *client {
	t.Helper()
	return connect(t, plain, d.node(i), user, d.token(user))
}

// mainJob is the scenario that every deployment must pass. It creates a group, its members
// connect over both endpoints to any node, and all members change it over HTTP and sockets. All
// must see every change at once and in order. It returns the group, which still exists.
func mainJob(t *testing.T, d *deployment) string {
	t.Helper()
	var g group
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Walkers", "attributes": object{"city": "Seoul"}}, &g)
	if g.OwnerID != "ana" || g.Version != 1 || g.MemberCount != 1 || g.Visibility != "private" {
		t.Fatalf("created %+v", g)
	}
	path := "/groups/" + g.ID
	guests := []string{"bo", "cy", "dee"}
	var added struct {
		Invited []string
		Version int64
	}
	d.api(1, "ana").must(t, http.StatusOK, http.MethodPost, path+"/members", object{"userIds": guests}, &added)
	if len(added.Invited) != 3 || added.Version != 4 {
		t.Fatalf("added %+v, want 3 invited users and version 4", added)
	}
	for i, user := range guests {
		var invitations page[struct{ GroupID string }]
		d.api(i, user).must(t, http.StatusOK, http.MethodGet, "/me/invitations", nil, &invitations)
		if len(invitations.Items) == 0 || invitations.Items[0].GroupID != g.ID {
			t.Fatalf("%s sees the invitations %+v", user, invitations.Items)
		}
		d.api(i+1, user).must(t, http.StatusOK, http.MethodPost, path+"/invitations/accept", nil, nil)
	}

	ana, bo, cy, dee := d.io(t, 0, "ana"), d.ws(t, 1, "bo"), d.io(t, 2, "cy"), d.ws(t, 0, "dee")
	all := []*client{ana, bo, cy, dee}
	for _, c := range all {
		if got := c.subscribe(g.ID); got.Version != 7 || got.Group.ID != g.ID {
			t.Fatalf("%s subscribed at %+v, want version 7", c.name, got)
		}
	}

	head := everybodySeesEveryChange(t, d, g.ID, all)
	everybodyHasTheLog(t, d, g.ID, all, 7)
	signalsReachAllButTheSender(t, g.ID, bo, all)
	lateComerMissesNothing(t, d, g.ID, head)
	outsidersLearnNothing(t, d, g.ID)
	whoGoesHearsOfItLast(t, d, g.ID, ana, bo, cy, dee)
	deletionEndsEverySubscription(t, d)
	return g.ID
}

// everybodySeesEveryChange makes changes over each endpoint at once and waits until all clients
// have them. It returns the group's version.
func everybodySeesEveryChange(t *testing.T, d *deployment, groupID string, all []*client) int64 {
	t.Helper()
	const each = 10
	path := "/groups/" + groupID
	var work sync.WaitGroup
	for i, c := range all {
		work.Go(func() { // over the socket, where the answer is the event
			for k := range each {
				var e event
				err := c.request("group:message", object{"groupId": groupID, "data": object{"from": c.name, "n": k}}, &e)
				if err != nil || e.Type != "message.posted" || e.GroupID != groupID || e.Actor == nil || *e.Actor != c.user {
					t.Errorf("%s: group:message: %+v, %v", c.name, e, err)
				}
			}
		})
		work.Go(func() { // over HTTP, to the nodes in turn
			for k := range each {
				var e event
				status, err := d.api(i+k, c.user).do(t.Context(), http.MethodPost, path+"/messages", object{"data": object{"n": k}}, &e)
				if err != nil || status != http.StatusCreated || e.Version == 0 {
					t.Errorf("POST messages as %s: %d %+v, %v", c.user, status, e, err)
				}
			}
		})
	}
	work.Wait()
	var g group
	d.api(1, "ana").must(t, http.StatusOK, http.MethodPatch, path, object{"name": "Runners"}, &g)
	all[0].must("group:update", object{"groupId": groupID, "description": "Every morning"}, &g)
	if want := int64(7 + 2*each*len(all) + 2); g.Version != want || g.Name != "Runners" {
		t.Errorf("after all changes %+v, want version %d", g, want)
	}
	for _, c := range all {
		c.needVersion(groupID, g.Version, soon)
	}

	began := time.Now()
	d.api(1, "ana").must(t, http.StatusOK, http.MethodPatch, path, object{"name": "Climbers"}, &g)
	for _, c := range all {
		c.needVersion(groupID, g.Version, soon)
	}
	t.Logf("%d changes by %d ways at once; one more reached everybody %s after the request was sent",
		2*each*len(all)+2, 2*len(all), time.Since(began).Round(100*time.Microsecond))
	return g.Version
}

// everybodyHasTheLog checks that the clients received exactly the log since a version, with the
// data unchanged to the byte.
func everybodyHasTheLog(t *testing.T, d *deployment, groupID string, all []*client, since int64) {
	t.Helper()
	var log page[event]
	d.api(2, "cy").must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/groups/%s/events?since=%d&limit=200", groupID, since), nil, &log)
	for _, c := range all {
		got := c.stream(groupID).received()
		if len(got) != len(log.Items) {
			t.Errorf("%s received %d events, the log has %d", c.name, len(got), len(log.Items))
			continue
		}
		for i, want := range log.Items {
			if !sameEvent(got[i], want) {
				t.Errorf("%s received %+v, the log says %+v", c.name, got[i], want)
				break
			}
		}
	}
}

func sameEvent(a, b event) bool {
	return a.Version == b.Version && a.Type == b.Type && sameJSON(a.Data, b.Data) && a.At.Equal(b.At)
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	xs, _ := json.Marshal(x)
	ys, _ := json.Marshal(y)
	return slices.Equal(xs, ys)
}

// signalsReachAllButTheSender checks that signals reach every socket but the sender's, and are
// not stored.
func signalsReachAllButTheSender(t *testing.T, groupID string, from *client, all []*client) {
	t.Helper()
	from.must("group:signal", object{"groupId": groupID, "type": "typing", "data": object{"on": true}}, nil)
	for _, c := range all {
		if c == from {
			continue
		}
		need(t, soon, c.name+" receives a signal", func() bool { return len(c.pushes("group:signal")) == 1 })
		var got struct{ GroupID, From, Type string }
		if err := json.Unmarshal(c.pushes("group:signal")[0], &got); err != nil || got.From != from.user || got.Type != "typing" || got.GroupID != groupID {
			t.Errorf("%s received the signal %+v, %v", c.name, got, err)
		}
	}
	if got := from.pushes("group:signal"); len(got) != 0 {
		t.Errorf("the sender received its own signal: %s", got)
	}
}

// lateComerMissesNothing opens a second tab that has seen version 2 only, and subscribes twice.
// The second subscription on the same socket must not double events.
func lateComerMissesNothing(t *testing.T, d *deployment, groupID string, head int64) {
	t.Helper()
	tab := d.io(t, 1, "ana")
	for range 2 {
		if got := tab.resume(groupID, 2); got.Group.Version != head {
			t.Errorf("answered with the group at version %d, want %d", got.Group.Version, head)
		}
		tab.needVersion(groupID, head, soon)
	}
	tab.must("group:unsubscribe", object{"groupId": groupID}, nil)
	tab.mustRefuse("unknown_event", "group:explode", object{})
}

// outsidersLearnNothing checks that users outside a private group cannot learn that it exists.
func outsidersLearnNothing(t *testing.T, d *deployment, groupID string) {
	t.Helper()
	for i := range d.nodes {
		zed := d.api(i, "zed")
		zed.mustRefuse(t, http.StatusNotFound, "not_found", http.MethodGet, "/groups/"+groupID, nil)
		zed.mustRefuse(t, http.StatusNotFound, "not_found", http.MethodPost, "/groups/"+groupID+"/join", nil)
		zed.mustRefuse(t, http.StatusNotFound, "not_found", http.MethodPost, "/groups/"+groupID+"/messages", object{"data": object{}})
		zed.mustRefuse(t, http.StatusNotFound, "not_found", http.MethodGet, "/groups/0190a000-0000-7000-8000-000000000000", nil)
		socket := d.ws(t, i, "zed")
		socket.mustRefuse("not_found", "group:subscribe", object{"groupId": groupID})
		socket.mustRefuse("not_found", "group:message", object{"groupId": groupID, "data": object{}})
		var public page[group]
		zed.must(t, http.StatusOK, http.MethodGet, "/groups?visibility=public", nil, &public)
		if slices.ContainsFunc(public.Items, func(g group) bool { return g.ID == groupID }) {
			t.Errorf("node %d lists a private group among the public ones", i)
		}
		api{base: d.node(i).URL()}.mustRefuse(t, http.StatusUnauthorized, "unauthenticated", http.MethodGet, "/groups/"+groupID, nil)
	}
}

// whoGoesHearsOfItLast checks that a user who is removed or leaves gets the event about it, then
// group:closed, and nothing more.
func whoGoesHearsOfItLast(t *testing.T, d *deployment, groupID string, ana, bo, cy, dee *client) {
	t.Helper()
	path := "/groups/" + groupID
	began := time.Now()
	d.api(0, "ana").must(t, http.StatusNoContent, http.MethodDelete, path+"/members/bo", nil, nil)
	bo.needClosed(groupID, "removed", soon)
	t.Logf("a removed member was told after %s", time.Since(began).Round(100*time.Microsecond))
	lastEvent(t, bo, groupID, "member.removed", "bo")
	bo.mustRefuse("not_found", "group:message", object{"groupId": groupID, "data": object{}})
	bo.mustRefuse("not_found", "group:subscribe", object{"groupId": groupID})

	dee.must("group:leave", object{"groupId": groupID}, nil)
	dee.needClosed(groupID, "left", soon)
	lastEvent(t, dee, groupID, "member.left", "dee")
	ana.mustRefuse("owner_must_transfer", "group:leave", object{"groupId": groupID})

	var e event
	cy.must("group:message", object{"groupId": groupID, "data": object{"text": "who is left?"}}, &e)
	ana.needVersion(groupID, e.Version, soon)
	cy.needVersion(groupID, e.Version, soon)
	var members page[member]
	d.api(1, "cy").must(t, http.StatusOK, http.MethodGet, path+"/members", nil, &members)
	if len(members.Items) != 2 || members.Items[0].UserID != "ana" || members.Items[0].Role != "owner" || members.Items[1].UserID != "cy" {
		t.Errorf("members at the end: %+v, want ana (owner) and cy", members.Items)
	}
}

// lastEvent checks the last event that a client received of a group.
func lastEvent(t *testing.T, c *client, groupID, typ, user string) {
	t.Helper()
	events := c.stream(groupID).received()
	if len(events) == 0 {
		t.Errorf("%s received nothing", c.name)
		return
	}
	last := events[len(events)-1]
	var data struct{ UserID string }
	if err := json.Unmarshal(last.Data, &data); err != nil || last.Type != typ || data.UserID != user {
		t.Errorf("the last event of %s is %s %s (%v), want %s of %s", c.name, last.Type, last.Data, err, typ, user)
	}
}

// deletionEndsEverySubscription deletes a group. Every subscription must be closed, and the group
// must not be found.
func deletionEndsEverySubscription(t *testing.T, d *deployment) {
	t.Helper()
	owner := d.ws(t, 0, "ana")
	var g group
	owner.must("group:create", object{"name": "Short", "visibility": "public", "joinPolicy": "open"}, &g)
	guest := d.io(t, 1, "eve")
	guest.mustRefuse("not_member", "group:subscribe", object{"groupId": g.ID})
	guest.must("group:join", object{"groupId": g.ID}, nil)
	owner.subscribe(g.ID)
	guest.subscribe(g.ID)
	owner.must("group:delete", object{"groupId": g.ID}, nil)
	for _, c := range []*client{owner, guest} {
		c.needClosed(g.ID, "deleted", soon)
		if events := c.stream(g.ID).received(); len(events) != 1 || events[0].Type != "group.deleted" {
			t.Errorf("%s received %+v, want group.deleted", c.name, events)
		}
	}
	for i := range d.nodes {
		d.api(i, "ana").mustRefuse(t, http.StatusNotFound, "not_found", http.MethodGet, "/groups/"+g.ID, nil)
	}
}
