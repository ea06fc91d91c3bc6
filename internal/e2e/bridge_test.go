package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/nodebridge"
)

// TestBridgeComparedWithNode runs one table of calls between two servers. The pairs are: two
// servers of Node, a server of Node and a node of Moim in both directions, and two nodes of Moim.
// Clients must see the same in each pair. All four servers run in each case.
func TestBridgeComparedWithNode(t *testing.T) {
	t.Parallel()
	needNode(t)
	for _, mode := range []string{"classic", "dynamic", "static", "dynamic-private"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			node, other := nodeServer(t, server.URL(), mode), nodeServer(t, server.URL(), mode)
			want := runBehaviours(t, "compare/bridge.mjs", node, other, server.URL(), mode, "node")
			if len(want) < 29 {
				t.Fatalf("%d behaviours were seen, want at least 29", len(want))
			}
			mesh, shared := adapter.NewMesh(), &reasons{byKey: make(map[string]string)}
			moim := startGateway(t, mesh, shared, socket.Config{}, newBridge(t, server.URL()))
			moim2 := startGateway(t, mesh, shared, socket.Config{}, newBridge(t, server.URL()))
			for name, servers := range map[string][]string{
				"from Node to Moim": {node, moim, server.URL(), mode, "node"},
				"from Moim to Node": {moim, node, server.URL(), mode},
				"from Moim to Moim": {moim, moim2, server.URL(), mode},
			} {
				t.Run(name, func(t *testing.T) {
					for behaviour, got := range runBehaviours(t, "compare/bridge.mjs", servers...) {
						if diff := cmp.Diff(string(want[behaviour]), string(got)); diff != "" {
							t.Errorf("%s (-node +moim):\n%s", behaviour, diff)
						}
					}
				})
			}
		})
	}
}

// needNode skips the test if Node.js is not installed.
func needNode(t *testing.T) {
	if err := clientOnce(); errors.Is(err, errNoNode) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// newBridge returns a bridge on a Redis server.
func newBridge(t *testing.T, server string) socket.Bridge {
	clients, err := redisrole.New(redisrole.Config{URL: server}, "node", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	bridge, err := nodebridge.New(clients, nodebridge.DefaultKey, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return bridge
}

// bridgeTime is how long servers emit in TestBridgeOutlivesRedisAndServers.
var bridgeTime = flag.Duration("bridge", 15*time.Second, "how long TestBridgeOutlivesRedisAndServers runs")

// TestBridgeOutlivesRedisAndServers makes two servers of Node and two nodes of Moim emit to one
// room. Redis restarts, then one of Node's servers ends. Events may be lost meanwhile, but none
// may arrive twice or out of order. Afterwards, every event must arrive.
func TestBridgeOutlivesRedisAndServers(t *testing.T) {
	t.Parallel()
	needNode(t)
	for _, mode := range []string{"classic", "dynamic"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			mesh, shared := adapter.NewMesh(), &reasons{byKey: make(map[string]string)}
			dies, process := startNodeServer(t, server.URL(), mode)
			urls := []string{
				nodeServer(t, server.URL(), mode),
				startGateway(t, mesh, shared, socket.Config{}, newBridge(t, server.URL())), startGateway(t, mesh, shared, socket.Config{}, newBridge(t, server.URL())),
				dies,
			}
			cmd, out := startScript(t, append([]string{"compare/endure.mjs", fmt.Sprint(bridgeTime.Seconds())}, urls...)...)
			pairs := 0
			for lines := bufio.NewScanner(out); lines.Scan(); {
				switch line := lines.Text(); line {
				case "restart Redis":
					server.Kill()
					server.Restart()
				case "end a server":
					_ = process.Kill()
				default:
					pairs++
					checkPair(t, line)
				}
			}
			if err := cmd.Wait(); err != nil || pairs != 9 {
				t.Errorf("%d pairs of clients, want 9: %v", pairs, err)
			}
		})
	}
}

// checkPair checks what one client received from another.
func checkPair(t *testing.T, line string) {
	t.Log(line)
	var pair struct{ From, To, Sent, Received, Twice, Disordered, Last, Found int }
	if err := json.Unmarshal([]byte(line), &pair); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	if pair.Twice+pair.Disordered > 0 || pair.Last != 100 || pair.Found != 3 || pair.Received < pair.Sent/2 {
		t.Errorf("of a client's events: %s", line)
	}
}
