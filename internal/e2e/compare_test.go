package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// different lists the behaviours in which Moim differs from Node's server on purpose, with the
// reason. docs/sockets.md lists them.
var different = map[string]string{
	"wire: too large": "Node's server ends the session of a request that is too large; here it goes on",
}

// TestComparedWithNode runs one table of client behaviours against socket.io on Node and against
// a gateway with the same handlers. Clients must see the same.
func TestComparedWithNode(t *testing.T) {
	t.Parallel()
	if err := clientOnce(); errors.Is(err, errNoNode) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	node := behaviours(t, nodeServer(t))
	if len(node) < 80 {
		t.Fatalf("%d behaviours were seen, want at least 80", len(node))
	}
	for name, url := range map[string]func(*testing.T) string{"one node": moimServer, "three nodes behind a balancer": balancedServers} {
		t.Run(name, func(t *testing.T) {
			moim := behaviours(t, url(t))
			if len(moim) != len(node) {
				t.Errorf("%d behaviours were seen, want %d", len(moim), len(node))
			}
			for name, want := range node {
				if why, known := different[name]; known {
					if bytes.Equal(want, moim[name]) {
						t.Errorf("%s: no longer different (%s)", name, why)
					}
					continue
				}
				if diff := cmp.Diff(string(want), string(moim[name])); diff != "" {
					t.Errorf("%s (-node +moim):\n%s", name, diff)
				}
			}
		})
	}
	t.Logf("%d behaviours compared, %d of them different on purpose", len(node), len(different))
}

// behaviours returns what clients see on a server, by the name of the behaviour.
func behaviours(t *testing.T, url string) map[string]json.RawMessage {
	return runBehaviours(t, "compare/behaviours.mjs", url)
}

// runBehaviours returns what a script prints, by the name of the behaviour.
func runBehaviours(t *testing.T, script string, args ...string) map[string]json.RawMessage {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %s", err, stderr.String())
	}
	seen := make(map[string]json.RawMessage)
	for line := range bytes.Lines(out) {
		var behaviour struct {
			Name string          `json:"name"`
			Seen json.RawMessage `json:"seen"`
		}
		if err := json.Unmarshal(line, &behaviour); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		seen[behaviour.Name] = behaviour.Seen
	}
	return seen
}

// nodeServer starts the reference server of Node and returns its URL.
func nodeServer(t *testing.T, args ...string) string {
	url, _ := startNodeServer(t, args...)
	return url
}

func startNodeServer(t *testing.T, args ...string) (url string, process *os.Process) {
	cmd, out := startScript(t, append([]string{"compare/server.mjs"}, args...)...)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port), cmd.Process
}

// startScript starts a script and returns its output.
func startScript(t *testing.T, args ...string) (*exec.Cmd, io.Reader) {
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// moimServer starts a gateway with the reference's handlers and returns its URL.
func moimServer(t *testing.T) string {
	return startGateway(t, adapter.NewMesh(), &reasons{byKey: make(map[string]string)}, socket.Config{}, nil)
}

// balancedServers starts three gateways behind a load balancer that sends each request
// to another node.
func balancedServers(t *testing.T) string { return balanced(t, socket.Config{}) }

func balanced(t *testing.T, cfg socket.Config) string {
	mesh, shared := adapter.NewMesh(), &reasons{byKey: make(map[string]string)}
	var nodes []*url.URL
	for range 3 {
		node, err := url.Parse(startGateway(t, mesh, shared, cfg, nil))
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	var next atomic.Uint64
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(nodes[next.Add(1)%uint64(len(nodes))])
			r.Out.Host = r.In.Host
		},
	})
	t.Cleanup(balancer.Close)
	needsForwarding(t, nodes)
	return balancer.URL
}

// needsForwarding waits until each node can forward the requests of a session to the other nodes.
func needsForwarding(t *testing.T, nodes []*url.URL) {
	for _, node := range nodes {
		session, err := http.Get(node.String() + "/socket.io/?EIO=4&transport=polling")
		if err != nil {
			t.Fatal(err)
		}
		open, err := io.ReadAll(session.Body)
		_ = session.Body.Close()
		var packet struct{ SID string }
		if err = errors.Join(err, json.Unmarshal(open[1:], &packet)); err != nil {
			t.Fatal(err)
		}
		for _, other := range nodes {
			poll := other.String() + "/socket.io/?EIO=4&transport=polling&sid=" + packet.SID
			need(t, time.Minute, "a node forwards to another", func() bool {
				answer, err := http.Post(poll, "text/plain", strings.NewReader("3"))
				if err != nil {
					return false
				}
				_ = answer.Body.Close()
				return answer.StatusCode == http.StatusOK
			})
		}
	}
}

// startGateway starts a node with the handlers of the reference. It may have a bridge to servers
// of Node. cfg sets only what the reference leaves open. It returns the node's URL.
func startGateway(t *testing.T, mesh *adapter.Mesh, shared *reasons, cfg socket.Config, bridge socket.Bridge) string {
	hub := adapter.NewHub(mesh.Adapter())
	r := reference{out: socket.NewEmitter(hub), reasons: shared}
	guarded := append(r.handlers(), socket.Use(func(_ context.Context, s *socket.Socket) error {
		var auth struct{ Pass string }
		if json.Unmarshal(s.Handshake().Auth, &auth) != nil || auth.Pass != "let me in" {
			return fault.ErrForbidden.WithMessage("not you")
		}
		return nil
	}))
	server := httptest.NewUnstartedServer(nil)
	gateway, err := socket.New(socket.Config{
		PingInterval: 2 * time.Second, PingTimeout: 8 * time.Second, ConnectTimeout: 8 * time.Second, MaxFrame: 100_000,
		Cookie:   "io",
		NodeURL:  "http://" + server.Listener.Addr().String(),
		Recovery: cfg.Recovery,
	}, socket.Deps{
		Hub: hub, Emitter: r.out, Bridge: bridge, Authenticate: socket.Anonymous, Origins: socket.Origins{Allowed: []string{"https://app.example"}},
	}, slices.Concat(r.handlers(), socket.In("/chat", r.handlers()...), socket.In("/guarded", guarded...))...)
	if err == nil {
		err = errors.Join(hub.Start(t.Context()), gateway.Start(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = gateway
	server.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(gateway.Stop(ctx), hub.Stop(ctx)); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return server.URL
}
