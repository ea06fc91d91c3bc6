package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestPollingWithoutStickySessions connects 200 clients through a load balancer that sends each
// request to another node, while messages are posted. Most clients start with polling and
// upgrade, and some only poll. No session may be lost until a node is killed. After the kill,
// each client must still get every event once, in order.
func TestPollingWithoutStickySessions(t *testing.T) {
	t.Parallel()
	const early, late = 120, 80
	redis, postgres := redistest.Start(t), pgtest.Start(t)
	env := []string{
		"MOIM_AUTH_SECRET=" + secret, "MOIM_REDIS_URL=" + redis.URL(), "MOIM_DATABASE_URL=" + postgres.NewDatabase(t),
		// socket.io-client stops polling just before it upgrades. If the WebSocket is lost then,
		// only the heartbeat can detect it.
		"MOIM_SOCKET_PING_INTERVAL=5s", "MOIM_SOCKET_PING_TIMEOUT=10s",
	}
	d := &deployment{token: func(user string) string { return mint(user, time.Hour) }}
	for range 3 {
		d.nodes = append(d.nodes, startForwardingNode(t, env...))
	}
	b := startBalancer(t, d.nodes)
	d.driver = startDriver(t) // started last, so it ends before the balancer, which waits for its clients
	f := newPollers(t, d)

	var users []string
	for i := range early + late {
		users = append(users, fmt.Sprintf("user-%d", i))
	}
	groupID := newGroup(t, d, users...)
	l := startLoad(t, d, []string{groupID}, 2, 15)
	flow := func() {
		t.Helper()
		at := l.acked.Load()
		need(t, answerWithin, "messages flow", func() bool { return l.acked.Load() > at+20 })
	}

	all := f.connect(b.URL, groupID, users[:early]...)
	needStarted(t, all, 1)
	needUpgraded(t, all)
	flow()
	if n := b.failed.Load(); n > 0 {
		t.Errorf("%d requests failed while all nodes were up", n)
	}
	for _, c := range all {
		if n := c.upgraded(); n > 1 {
			t.Errorf("%s connected %d times while all nodes were up", c.name, n)
		}
	}

	began := time.Now()
	more := f.connect(b.URL, groupID, users[early:]...)
	need(t, backWithin, "some of the clients that connect are there", func() bool {
		return slices.ContainsFunc(more, func(c *follower) bool { return c.started() > 0 })
	})
	d.node(2).Kill()
	all = append(all, more...)
	needStarted(t, all, 1)
	flow()
	l.stop()
	needFollowed(t, d, all, groupID)
	t.Logf("%d requests failed when a node was killed; all clients were back within %s", b.failed.Load(), time.Since(began).Round(time.Millisecond))

	log := wholeLog(t, d.api(0, "ana"), groupID)
	for _, c := range all {
		got := c.received()
		if want := log[len(log)-len(got):]; !slices.EqualFunc(got, want, sameEvent) {
			t.Errorf("%s: its %d events are not the last of the log", c.name, len(got))
		}
	}
	for _, c := range all[:early] { // these clients have seen at least the last message
		if len(c.received()) < 20 {
			t.Errorf("%s has received %d events", c.name, len(c.received()))
		}
	}
	t.Logf("%d messages were posted; %d requests were sent to nodes in turn", l.acked.Load(), b.requests.Load())
}

// startForwardingNode runs a node to which other nodes can forward requests.
func startForwardingNode(t *testing.T, env ...string) *node {
	t.Helper()
	n := newNode(t, env...)
	n.env = append(n.env, "MOIM_NODE_URL="+n.URL())
	n.run()
	if err := n.ready(); err != nil {
		t.Fatalf("%s did not become ready: %v", n.name, err)
	}
	return n
}

// balancer is a load balancer without sticky sessions. It sends each request to the next node
// that accepts the connection.
type balancer struct {
	*httptest.Server
	requests atomic.Int64
	failed   atomic.Int64 // requests that a node refused or did not answer
}

// startBalancer runs a balancer until the test ends. It waits until the nodes know each other.
func startBalancer(t *testing.T, nodes []*node) *balancer {
	t.Helper()
	var urls []*url.URL
	for _, n := range nodes {
		urls = append(urls, &url.URL{Scheme: "http", Host: n.addr})
	}
	needsForwarding(t, urls)
	b := &balancer{}
	var next atomic.Uint64
	var dialer net.Dialer
	dial := func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
		first := next.Add(1)
		for i := range uint64(len(nodes)) {
			if conn, err = dialer.DialContext(ctx, network, nodes[(first+i)%uint64(len(nodes))].addr); err == nil {
				return conn, nil
			}
		}
		return nil, err
	}
	b.Server = httptest.NewServer(&httputil.ReverseProxy{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: dial}, // dial for each request
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			b.requests.Add(1)
			r.SetURL(urls[0]) // dial chooses the node
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode >= http.StatusBadRequest {
				b.failed.Add(1)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if !errors.Is(err, context.Canceled) { // otherwise the client closed the request
				b.failed.Add(1)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(b.Close)
	return b
}

// pollers runs the Socket.IO client of docs/sockets.md. Every fourth client uses no WebSocket.
type pollers struct {
	*followers
	pollsOnly string // the module of clients without WebSockets
}

func newPollers(t *testing.T, d *deployment) *pollers {
	t.Helper()
	p := &pollers{followers: newFollowers(t, d)}
	documented, err := os.ReadFile(p.modules[0])
	if err != nil {
		t.Fatal(err)
	}
	const options = "io(url, { auth })"
	if !strings.Contains(string(documented), options) {
		t.Fatalf("docs/sockets.md does not connect with %s", options)
	}
	p.pollsOnly = filepath.Join(filepath.Dir(p.modules[0]), "polling.mjs")
	changed := strings.Replace(string(documented), options, `io(url, { auth, transports: ["polling"] })`, 1)
	if err := os.WriteFile(p.pollsOnly, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// connect makes each user follow a group.
func (p *pollers) connect(base, groupID string, users ...string) []*follower {
	p.t.Helper()
	var all []*follower
	for i, user := range users {
		module := p.modules[0]
		if onlyPolls(i) {
			module = p.pollsOnly
		}
		all = append(all, p.follow(module, base, user, groupID))
	}
	return all
}

// onlyPolls reports whether the i-th client uses no WebSocket.
func onlyPolls(i int) bool { return i%4 == 3 }

// needUpgraded waits until the clients that may upgrade have done so.
func needUpgraded(t *testing.T, all []*follower) {
	t.Helper()
	for i, c := range all {
		if onlyPolls(i) {
			if c.upgraded() > 0 {
				t.Errorf("%s has a WebSocket", c.name)
			}
		} else if !wait(backWithin, func() bool { return c.upgraded() > 0 }) {
			t.Fatalf("%s has no WebSocket", c.name)
		}
	}
}
