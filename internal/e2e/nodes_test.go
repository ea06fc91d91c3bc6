package e2e

import (
	"io"
	"net/http"
	"strings"
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

// consolePage returns the overview page of the console.
func consolePage(t *testing.T, n *node, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+"/console/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "moim_console", Value: token})
	res, err := (&http.Client{Timeout: answerWithin}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return string(page)
}

// TestNodes asks a node for the list of all nodes. Then one of them is killed.
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
		t.Error("the event was not measured once on the node that delivered it")
	}
	// The console shows more about each node.
	page := consolePage(t, one, ops.token)
	if n := strings.Count(page, ">redis.group<"); n != 2 || strings.Count(page, "settled") != 6 || !strings.Contains(page, "http://two.example.com:8080") {
		t.Errorf("the console shows %d nodes:\n%s", n, page)
	}
	two.Kill()
	need(t, startWithin, "the killed node is missing", func() bool {
		list = nodeList{}
		ops.must(t, 200, "GET", "/nodes", nil, &list)
		return len(list.Items) == 1 && len(list.Missing) == 1 && list.Missing[0] == "http://two.example.com:8080"
	})
}
