package e2e

import (
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// nodeList is the answer of GET /v1/nodes.
type nodeList struct {
	Items []struct {
		ID              string
		Sockets, Groups int
		EventsPerSecond float64
		Lateness        float64
	}
	Missing []string
}

// TestNodes asks a node for all of them, of which one is killed then.
func TestNodes(t *testing.T) {
	t.Parallel()
	env := []string{
		"MOIM_AUTH_SECRET=" + secret, "MOIM_REDIS_URL=" + redistest.Start(t).URL(), "MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t),
	}
	one := startNode(t, env...)
	two := startNode(t, append(env, "MOIM_NODE_URL=http://two.example.com:8080")...)
	plain := endpoint{"plain", openPlain}
	alice := api{base: one.URL(), token: mint("alice", time.Hour)}
	var g group
	alice.must(t, 201, "POST", "/groups", object{"name": "g"}, &g)
	reader := connect(t, plain, two, "alice", alice.token)
	reader.subscribe(g.ID)
	alice.must(t, 201, "POST", "/groups/"+g.ID+"/messages", object{"data": object{}}, nil)
	reader.needVersion(g.ID, 2, answerWithin)

	alice.mustRefuse(t, 403, "forbidden", "GET", "/nodes", nil)
	ops := api{base: one.URL(), token: mint("ops", time.Hour, `"scope":"admin nodes:read"`)}
	var list nodeList
	need(t, startWithin, "both nodes answer", func() bool {
		list = nodeList{}
		ops.must(t, 200, "GET", "/nodes", nil, &list)
		return len(list.Items) == 2 && len(list.Missing) == 0 && list.Items[1].EventsPerSecond > 0
	})
	if first, second := list.Items[0], list.Items[1]; first.ID == second.ID || first.Sockets != 0 || first.Groups != 0 ||
		second.Sockets != 1 || second.Groups != 1 || second.Lateness <= 0 {
		t.Errorf("%+v", list)
	}
	if two.Metric("moim_event_lateness_seconds_count") != 1 || one.Metric("moim_event_lateness_seconds_count") != 0 {
		t.Error("the event was not measured once, where it was delivered")
	}
	two.Kill()
	need(t, startWithin, "the killed node is missing", func() bool {
		list = nodeList{}
		ops.must(t, 200, "GET", "/nodes", nil, &list)
		return len(list.Items) == 1 && len(list.Missing) == 1 && list.Missing[0] == "http://two.example.com:8080"
	})
}
