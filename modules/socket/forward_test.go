package socket_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

const pollingPath = "/socket.io/?EIO=4&transport=polling"

// pollingNode is a node that others reach at its URL. A test can stop it.
type pollingNode struct {
	url  string
	stop func()
}

func startPolling(t *testing.T, mesh *adapter.Mesh, reachable bool) pollingNode {
	t.Helper()
	hub := adapter.NewHub(mesh.Adapter())
	server := httptest.NewUnstartedServer(nil)
	var cfg socket.Config
	if reachable {
		cfg.NodeURL = "http://" + server.Listener.Addr().String()
	}
	g, err := socket.New(cfg, socket.Deps{Hub: hub, Authenticate: socket.Anonymous}, socket.OnRaw("echo", echoArgs))
	if err == nil {
		err = errors.Join(hub.Start(t.Context()), g.Start(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = g
	server.Start()
	stopped := false
	n := pollingNode{url: server.URL, stop: func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(g.Stop(ctx), hub.Stop(ctx)); err != nil {
			t.Error(err)
		}
		server.Close()
	}}
	t.Cleanup(n.stop)
	return n
}

// request sends a request and returns the status and the body.
func request(t *testing.T, method, url, body string, header http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// openPolling opens a session and returns the query that names it.
func openPolling(t *testing.T, n pollingNode) string {
	t.Helper()
	status, open := request(t, http.MethodGet, n.url+pollingPath, "", nil)
	sid, _, _ := strings.Cut(strings.TrimPrefix(open, `0{"sid":"`), `"`)
	if status != http.StatusOK || len(sid) != 20 {
		t.Fatalf("opened with %d %s", status, open)
	}
	return pollingPath + "&sid=" + sid
}

const unknownSession = `{"code":1,"message":"Session ID unknown"}`

func TestForwarding(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	one, two, hidden := startPolling(t, mesh, true), startPolling(t, mesh, true), startPolling(t, mesh, false)
	session := openPolling(t, one)
	for _, other := range []pollingNode{two, hidden} {
		waittest.Until(t, "another node knows the first", func() bool {
			status, _ := request(t, http.MethodPost, other.url+session, "3", nil)
			return status == http.StatusOK
		})
	}
	// The three nodes serve the requests of one session.
	if status, body := request(t, http.MethodPost, two.url+session, `40`, nil); status != http.StatusOK || body != "ok" {
		t.Errorf("connecting through another node: %d %s", status, body)
	}
	if status, body := request(t, http.MethodGet, hidden.url+session, "", nil); status != http.StatusOK || !strings.HasPrefix(body, `40{"sid":"`) {
		t.Errorf("polling through a third node: %d %s", status, body)
	}
	if status, _ := request(t, http.MethodPost, one.url+session, `421["echo",7]`, nil); status != http.StatusOK {
		t.Errorf("posting to the node itself: %d", status)
	}
	if status, body := request(t, http.MethodGet, two.url+session, "", nil); status != http.StatusOK || body != `431[7]` {
		t.Errorf("polling through another node: %d %s", status, body)
	}

	// Other nodes cannot forward to a node without a URL.
	if status, body := request(t, http.MethodGet, one.url+openPolling(t, hidden), "", nil); status != http.StatusBadRequest || body != unknownSession {
		t.Errorf("a node without a URL: %d %s", status, body)
	}
	// A client's request must not count as one from a node.
	if status, body := request(t, http.MethodGet, two.url+session, "", http.Header{"Moim-Forwarded": {"x"}}); status != http.StatusBadRequest || !strings.Contains(body, "for nodes only") {
		t.Errorf("a forged header: %d %s", status, body)
	}
	one.stop()
	if status, body := request(t, http.MethodGet, two.url+session, "", nil); status != http.StatusBadRequest || body != unknownSession {
		t.Errorf("a node that is gone: %d %s", status, body)
	}
}

// TestARequestIsForwardedOnce checks that a node marks the requests that it forwards, and
// forwards no marked request.
func TestARequestIsForwardedOnce(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	seen := make(chan string, 10)
	impostor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Moim-Forwarded")
		w.WriteHeader(http.StatusTeapot)
	}))
	defer impostor.Close()
	hub := adapter.NewHub(mesh.Adapter())
	out := socket.NewEmitter(hub)
	if err := hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hub.Stop(context.Background()) }()
	n := startPolling(t, mesh, true)
	url := n.url + pollingPath + "&sid=impostor" + strings.Repeat("x", 12)
	waittest.Until(t, "the node knows the other", func() bool {
		if err := socket.Announce(t.Context(), out, "impostor", impostor.URL); err != nil {
			t.Fatal(err)
		}
		status, _ := request(t, http.MethodGet, url, "", nil)
		return status == http.StatusTeapot
	})
	signature := receive(t, seen)
	if signature == "" {
		t.Error("a forwarded request is not marked")
	}
	if status, body := request(t, http.MethodGet, url, "", http.Header{"Moim-Forwarded": {signature}}); status != http.StatusBadRequest {
		t.Errorf("a request that was forwarded to another node: %d %s", status, body)
	}
}

func TestNodeURLs(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"10.0.0.1:8080", "ws://a", "http://", "http://a/path", "http://u@a", "http://a?x", "http://a#x"} {
		if err := (socket.Config{NodeURL: bad}).WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), "node.url") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := (socket.Config{NodeURL: "https://10.0.0.1:8080/"}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
}
