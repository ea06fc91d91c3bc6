package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// different are the behaviours in which Moim differs from Node's server on purpose,
// and why. docs/sockets.md lists them.
var different = map[string]string{
	"wire: too large": "Node's server ends the session of a request that is too large; here it goes on",
}

// TestComparedWithNode runs one table of client behaviours against Node's socket.io
// and against a gateway with the same handlers. Clients must see the same.
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

// behaviours returns what clients see of a server, by the behaviour's name.
func behaviours(t *testing.T, url string) map[string]json.RawMessage {
	return runBehaviours(t, "compare/behaviours.mjs", url)
}

// runBehaviours returns what a script prints, by the behaviour's name.
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

// nodeServer starts the reference and returns its URL.
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

// startScript starts a script, and returns what it prints.
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

// needsForwarding waits until each node knows where the others are: a session of one
// is served by all.
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

// startGateway starts a node with the reference's handlers, which may have a bridge to Node's
// servers. Of cfg it takes what the reference leaves open. It returns the node's URL.
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

// reasons are why sockets ended, by the key of their client and their namespace.
type reasons struct {
	mu    sync.Mutex
	byKey map[string]string
}

// reference has the handlers of compare/server.mjs.
type reference struct {
	out     *socket.Emitter
	reasons *reasons
}

// values are the decoded arguments of an event.
type values struct {
	args socket.Args
	err  error
}

func (v *values) text(i int) (s string) {
	v.err = errors.Join(v.err, v.args.Decode(i, &s))
	return s
}

// texts decodes a string or a list of strings.
func (v *values) texts(i int) []string {
	var list []string
	if v.args.Decode(i, &list) == nil {
		return list
	}
	return []string{v.text(i)}
}

func (r *reference) handlers() []socket.Handler {
	on := func(event string, fn func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error)) socket.Handler {
		return socket.OnRaw(event, func(ctx context.Context, s *socket.Socket, args socket.Args) (socket.Args, error) {
			v := &values{args: args}
			reply, err := fn(ctx, s, v)
			return reply, errors.Join(v.err, err)
		})
	}
	target := func(s *socket.Socket, rooms []string) socket.Target { return r.out.Of(s.Namespace()).To(rooms...) }
	return []socket.Handler{
		socket.OnDisconnect(func(s *socket.Socket, reason engine.Reason) {
			r.reasons.mu.Lock()
			defer r.reasons.mu.Unlock()
			r.reasons.byKey[key(s)+s.Namespace()] = reason.String()
		}),
		on("echo", func(_ context.Context, _ *socket.Socket, v *values) (socket.Args, error) { return v.args, nil }),
		on("push", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Emit(v.text(0), v.args[1:]...)
		}),
		on("ask", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return s.EmitWithAck(ctx, "question", v.args[0])
		}),
		on("join", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Join(v.text(0))
		}),
		on("leave", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Leave(v.text(0))
		}),
		on("rooms", func(_ context.Context, s *socket.Socket, _ *values) (socket.Args, error) {
			rooms := s.Rooms()
			rooms[slices.Index(rooms, s.ID())] = "<id>"
			slices.Sort(rooms)
			return socket.Args{rooms}, nil
		}),
		on("others", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.To(v.text(0)).Emit(ctx, v.text(1), v.args[2:]...)
		}),
		on("everyone", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Emit(ctx, v.text(1), v.args[2:]...)
		}),
		on("recovered", func(_ context.Context, s *socket.Socket, _ *values) (socket.Args, error) {
			return socket.Args{s.Recovered()}, nil
		}),
		on("all", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, nil).Emit(ctx, v.text(0), v.args[1:]...)
		}),
		on("volatileAll", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, nil).Volatile().Emit(ctx, v.text(0), v.args[1:]...)
		}),
		on("several", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Emit(ctx, v.text(1), v.args[2:]...)
		}),
		on("ids", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			found, err := target(s, v.texts(0)).Sockets(ctx)
			ids := []string{}
			for _, other := range found {
				ids = append(ids, other.ID)
			}
			slices.Sort(ids)
			return socket.Args{ids}, err
		}),
		on("except", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Except(v.text(1)).Emit(ctx, v.text(2))
		}),
		on("moveAll", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			from := target(s, v.texts(0))
			return nil, errors.Join(from.Join(ctx, v.text(1)), from.Leave(ctx, v.text(0)))
		}),
		on("found", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			found, err := target(s, v.texts(0)).Sockets(ctx)
			sizes := []int{}
			for _, other := range found {
				sizes = append(sizes, len(other.Rooms))
			}
			slices.Sort(sizes)
			return socket.Args{sizes}, err
		}),
		on("askAll", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			replies, err := target(s, v.texts(0)).EmitWithAck(ctx, "question", v.args[1])
			texts := []string{}
			for _, ack := range slices.Concat(slices.Collect(maps.Values(replies.Acks)), replies.Bridged) {
				texts = append(texts, (&values{args: ack}).text(0))
			}
			slices.Sort(texts)
			if err != nil && !errors.Is(err, socket.ErrIncomplete) {
				return nil, err
			}
			return socket.Args{texts, err == nil}, nil
		}),
		on("kick", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Disconnect(ctx)
		}),
		on("goodbye", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			var all bool
			err := v.args.Decode(0, &all)
			s.Disconnect(all)
			return nil, err
		}),
		on("volatile", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Volatile().Emit(v.text(0))
		}),
		on("remember", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			data := socket.Data[struct{ Value any }](s)
			last := data.Value
			data.Value = v.args[0]
			return socket.Args{last}, nil
		}),
		on("handshake", func(_ context.Context, s *socket.Socket, _ *values) (socket.Args, error) {
			h := s.Handshake()
			optional := func(text string) any {
				if text == "" {
					return nil
				}
				return text
			}
			return socket.Args{map[string]any{"auth": h.Auth, "color": optional(h.Header.Get("X-Color")), "shape": optional(h.Query.Get("shape"))}}, nil
		}),
		on("reason", func(_ context.Context, _ *socket.Socket, v *values) (socket.Args, error) {
			r.reasons.mu.Lock()
			defer r.reasons.mu.Unlock()
			if reason, known := r.reasons.byKey[v.text(0)]; known {
				return socket.Args{reason}, nil
			}
			return socket.Args{nil}, nil
		}),
	}
}

func key(s *socket.Socket) string {
	var auth struct{ Key string }
	_ = json.Unmarshal(s.Handshake().Auth, &auth) // no key: nobody asks
	return auth.Key
}
