package api_test

import "testing"

func TestHTTPNodes(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	if got := d.do(t, alice, "GET", "/nodes", "").problem(t); got != "403 forbidden" {
		t.Errorf("a user gets %s", got)
	}
	d.missing = []string{"http://10.0.0.7:8080"}
	const want = `{"items":[{"id":"n1","version":"","uptime":0,"sockets":3,"groups":0,"eventsPerSecond":0,"lateness":2.5,"cpu":0,"memory":0}],"missing":["http://10.0.0.7:8080"]}`
	if got := d.do(t, backend, "GET", "/nodes", ""); got.status != 200 || got.body != want {
		t.Errorf("%d %s", got.status, got.body)
	}
}
