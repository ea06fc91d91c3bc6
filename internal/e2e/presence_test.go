package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// presence is one item of GET …/presence and of group:presence.
type presence struct {
	UserID string          `json:"userId"`
	Status string          `json:"status"`
	Reason string          `json:"reason"`
	State  json.RawMessage `json:"state"`
}

// statusOf asks a node over HTTP for a member's presence: empty when it names
// him not at all.
func statusOf(t *testing.T, a api, groupID, user string) string {
	t.Helper()
	var answered page[presence]
	if _, err := a.do(t.Context(), http.MethodGet, "/groups/"+groupID+"/presence", nil, &answered); err != nil {
		return err.Error()
	}
	for _, p := range answered.Items {
		if p.UserID == user {
			return p.Status
		}
	}
	return ""
}

// pushedStatus returns a member's last status that a client was sent.
func pushedStatus(c *client, groupID, user string) string {
	status := ""
	for _, data := range c.pushes("group:presence") {
		var change struct {
			GroupID string
			Items   []presence
		}
		if err := json.Unmarshal(data, &change); err != nil {
			return err.Error()
		}
		for _, p := range change.Items {
			if change.GroupID == groupID && p.UserID == user {
				status = p.Status
			}
		}
	}
	return status
}

// TestPresence: who subscribes on one node is online on the other, until his
// node dies or he leaves.
func TestPresence(t *testing.T) {
	t.Parallel()
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+postgres.NewDatabase(t), "MOIM_GROUP_PRESENCE_GRACE=1s")
	groupID := newGroup(t, d, "bo", "cy")
	ana := d.ws(t, 0, "ana")
	var answered subscription
	ana.must("group:subscribe", object{"groupId": groupID, "presence": true}, &answered)
	ana.stream(groupID).begin(answered.Version, answered)
	if string(answered.Presence) == "null" || len(answered.Presence) == 0 {
		t.Errorf("subscribing with presence answered presence %s", answered.Presence)
	}

	began := time.Now()
	bo, cy := d.io(t, 1, "bo"), d.ws(t, 1, "cy")
	bo.subscribe(groupID)
	cy.subscribe(groupID)
	need(t, soon, "ana, on the other node, is told that bo is online", func() bool { return pushedStatus(ana, groupID, "bo") == "online" })
	t.Logf("online on the other node %s after connecting", time.Since(began).Round(time.Millisecond))
	for i := range d.nodes {
		need(t, soon, "every node says that bo is online", func() bool { return statusOf(t, d.api(i, "cy"), groupID, "bo") == "online" })
	}

	cy.conn.close()
	need(t, soon, "ana is told that cy is offline, after the grace", func() bool { return pushedStatus(ana, groupID, "cy") == "offline" })
	if got := statusOf(t, d.api(0, "ana"), groupID, "bo"); got != "online" {
		t.Errorf("bo is %q after cy left, want online", got)
	}

	began = time.Now()
	d.node(1).Kill()
	need(t, 15*time.Second, "bo is not online any more", func() bool { return statusOf(t, d.api(0, "ana"), groupID, "bo") != "online" })
	t.Logf("not online %s after his node died", time.Since(began).Round(time.Millisecond))
	need(t, 15*time.Second, "ana is told that bo is offline", func() bool { return pushedStatus(ana, groupID, "bo") == "offline" })
	t.Logf("offline %s after his node died", time.Since(began).Round(time.Millisecond))
	if got := statusOf(t, d.api(0, "ana"), groupID, "ana"); got != "online" {
		t.Errorf("ana, whose node lives, is %q", got)
	}
}
