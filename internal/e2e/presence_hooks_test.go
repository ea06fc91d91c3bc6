package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	backend "github.com/moim-live/moim/client"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// presenceReceiver is a back end that receives presence changes. It can be down.
type presenceReceiver struct {
	*httptest.Server
	down    atomic.Bool
	refused atomic.Int64

	mu    sync.Mutex
	told  map[string][]string // by group and user: the changes that were new
	n     map[string]int64
	wrong []string
}

func newPresenceReceiver(t *testing.T) *presenceReceiver {
	t.Helper()
	r := &presenceReceiver{told: map[string][]string{}, n: map[string]int64{}}
	handler, err := backend.Hook(hookSecret, r.take)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.down.Load() {
			r.refused.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// take applies changes as docs/webhooks.md describes: the change with the larger n wins.
func (r *presenceReceiver) take(_ context.Context, d backend.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(d.Events) > 0 || len(d.Presence) == 0 || len(d.Presence) > 100 || !strings.HasPrefix(d.ID, d.GroupID+"_p") {
		r.wrong = append(r.wrong, fmt.Sprintf("delivery %s with %d events and %d changes", d.ID, len(d.Events), len(d.Presence)))
	}
	for _, c := range d.Presence {
		key := c.GroupID + " " + c.UserID
		if age := time.Since(c.At); c.GroupID != d.GroupID || age.Abs() > 5*time.Minute {
			r.wrong = append(r.wrong, fmt.Sprintf("%+v", c))
		}
		if c.N <= r.n[key] {
			continue
		}
		status := strings.TrimPrefix(c.Type, "presence.")
		r.n[key] = c.N
		if told := r.told[key]; len(told) == 0 || told[len(told)-1] != status {
			r.told[key] = append(told, status)
		}
	}
	return nil
}

func (r *presenceReceiver) of(groupID, userID string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told[groupID+" "+userID])
}

// need waits until the receiver has received exactly these changes of a member.
func (r *presenceReceiver) need(t *testing.T, groupID, userID string, within time.Duration, told ...string) {
	t.Helper()
	if !wait(within, func() bool { return slices.Equal(r.of(groupID, userID), told) }) {
		t.Fatalf("within %s, the receiver got of %s: %q, want %q", within, userID, r.of(groupID, userID), told)
	}
}

func (r *presenceReceiver) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		t.Error(r.wrong)
	}
}

// TestPresenceHooks checks what a hook with presence receives. It must get the changes on two
// nodes, including those that happened while its receiver was down and those of the members of a
// killed node. It must get no change from before it was created. A hook with * must get no
// presence.
func TestPresenceHooks(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=1s", "MOIM_HOOK_PRIVATE=true")
	ops := api{base: d.nodes[0].URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	r, events := newPresenceReceiver(t), newReceiver(t)
	groupID := newGroup(t, d, "bo", "cy", "dee", "eve")
	d.ws(t, 0, "ana").subscribe(groupID)
	need(t, soon, "ana is online", func() bool { return statusOf(t, d.api(1, "bo"), groupID, "ana") == "online" })
	hook := object{"name": "presence", "url": r.URL, "events": []string{"presence.*"}, "secret": hookSecret}
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", hook, nil)
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "all", "url": events.URL, "events": []string{"*"}, "secret": hookSecret, "since": "start"}, nil)
	ops.mustRefuse(t, http.StatusUnprocessableEntity, "validation_failed", http.MethodPost, "/hooks/presence/replay", object{"since": "start"})

	need(t, soon, "the other node knows the hook", func() bool { // the node reads the hooks every second
		probe := newGroup(t, d)
		d.ws(t, 1, "ana").subscribe(probe)
		return wait(time.Second, func() bool { return len(r.of(probe, "ana")) > 0 })
	})
	d.ws(t, 1, "bo").subscribe(groupID)
	r.need(t, groupID, "bo", soon, "online")

	r.down.Store(true)
	cy, dee := d.io(t, 1, "cy"), d.ws(t, 0, "dee")
	cy.subscribe(groupID)
	dee.subscribe(groupID)
	need(t, soon, "a delivery to the receiver is tried", func() bool { return r.refused.Load() > 0 })
	need(t, soon, "the waiting delivery is listed", func() bool {
		var waiting page[struct {
			GroupID  string
			Presence bool
			Lag      int
		}]
		ops.must(t, http.StatusOK, http.MethodGet, "/hooks/presence/groups", nil, &waiting)
		return len(waiting.Items) == 1 && waiting.Items[0].Presence && waiting.Items[0].Lag == 2 && waiting.Items[0].GroupID == groupID
	})
	dee.must("group:unsubscribe", object{"groupId": groupID}, nil)
	r.down.Store(false)
	r.need(t, groupID, "cy", soon, "online")
	need(t, soon, "dee is offline", func() bool {
		told := r.of(groupID, "dee")
		return len(told) > 0 && told[len(told)-1] == "offline"
	})

	d.node(1).Kill()
	r.need(t, groupID, "bo", leaseEnds+soon, "online", "offline")
	r.need(t, groupID, "cy", soon, "online", "offline")
	eve := d.ws(t, 0, "eve")
	eve.subscribe(groupID)
	r.need(t, groupID, "eve", soon, "online")
	if told := r.of(groupID, "ana"); len(told) > 0 {
		t.Errorf("ana was online before the hook was created, but it received %q", told)
	}
	events.check(t, d.api(0, "ana"), groupID)
	d.api(0, "ana").must(t, http.StatusNoContent, http.MethodDelete, "/groups/"+groupID, nil, nil)
	r.need(t, groupID, "eve", soon, "online", "offline")
	r.need(t, groupID, "ana", soon, "offline")
	r.check(t)
}

// TestPresenceHookOutlivesNode kills the only node. Its members who do not reconnect must become
// offline.
func TestPresenceHookOutlivesNode(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HOOK_PRIVATE=true", "MOIM_GROUP_PRESENCE_GRACE=1s")
	d := &deployment{nodes: []*node{n}, token: func(user string) string { return mint(user, time.Hour) }}
	ops := api{base: n.URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	r := newPresenceReceiver(t)
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "presence", "url": r.URL, "events": []string{"presence.*"}, "secret": hookSecret}, nil)
	groupID := newGroup(t, d, "bo")
	for _, user := range []string{"ana", "bo"} {
		d.ws(t, 0, user).subscribe(groupID)
		r.need(t, groupID, user, soon, "online")
	}
	n.Kill()
	n.Restart()
	d.ws(t, 0, "ana").subscribe(groupID)
	began := time.Now()
	r.need(t, groupID, "bo", 3*time.Minute, "online", "offline")
	t.Logf("offline %s after the restart", time.Since(began).Round(time.Millisecond))
	if told := r.of(groupID, "ana"); !slices.Equal(told, []string{"online"}) {
		t.Errorf("ana reconnected, but the receiver got %q", told)
	}
	r.check(t)
}
