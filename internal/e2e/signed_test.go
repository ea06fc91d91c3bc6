package e2e

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// stranger returns the adapter of an attacker who can read the Redis server, and publishes there
// with this key.
func stranger(t *testing.T, s *redistest.Server, key redisadapter.Key) *redisadapter.Adapter {
	t.Helper()
	clients, err := redisrole.New(redisrole.Config{URL: s.URL()}, "stranger", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	a, err := redisadapter.New(clients, key.Always(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context(), func(adapter.Envelope) {}, func() {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(t.Context()) })
	return a
}

// signalTexts returns the texts of the signals that a client has received.
func signalTexts(t *testing.T, c *client) string {
	t.Helper()
	var all []string
	for _, raw := range c.pushes("group:signal") {
		var s struct{ Data string }
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s.Data)
	}
	return strings.Join(all, " ")
}

// TestOnlyNodesAreBelieved checks that nodes sign their messages by default. An attacker who can
// write to Redis, and reads the deployment's identity there, must not be able to add messages. It
// also checks the other values of redis.socket.hmac.
func TestOnlyNodesAreBelieved(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hmac     string
		believed bool
	}{
		"by default":    {"", false},
		"with a key":    {strings.Repeat("k", 32), false},
		"without a key": {"off", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			d := startCluster(t, 2, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_REDIS_SOCKET_HMAC="+test.hmac)
			groupID := newGroup(t, d, "bo")
			ana, bo := d.ws(t, 0, "ana"), d.ws(t, 1, "bo")
			ana.subscribe(groupID)
			bo.subscribe(groupID)
			announced, err := redis.Client().ZRange(t.Context(), "moim:nodes", 0, 0).Result()
			if err != nil || len(announced) != 1 {
				t.Fatal(announced, err)
			}
			database, _, _ := strings.Cut(announced[0], " ")
			forged := adapter.Envelope{Room: "group:" + groupID, Event: "group:signal", Data: []byte(
				`{"groupId":"` + groupID + `","from":"ana","type":"message","data":"forged"}`)}
			for _, key := range []redisadapter.Key{nil, redisadapter.Key(database)} {
				if err := stranger(t, redis, key).Publish(t.Context(), forged); err != nil {
					t.Fatal(err)
				}
			}
			ana.must("group:signal", object{"groupId": groupID, "type": "message", "data": "true"}, nil)
			need(t, soon, "a node's own signal arrives", func() bool { return strings.HasSuffix(signalTexts(t, bo), "true") })
			counted := strings.Contains(d.node(1).text("/metrics"), "\nmoim_adapter_forged_total 2\n")
			if got := signalTexts(t, bo); (got == "forged forged true") != test.believed || (got == "true") == test.believed || counted == test.believed {
				t.Errorf("bo received %q; forgeries are counted: %v", got, counted)
			}
		})
	}
}

// TestUpgradeToSignedMessages runs nodes before the upgrade, which do not sign, nodes during the
// upgrade, and nodes after it. Nodes of neighbouring stages must understand each other.
func TestUpgradeToSignedMessages(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	env := []string{"MOIM_AUTH_SECRET=" + secret, "MOIM_REDIS_URL=" + redis.URL(), "MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t)}
	d := startCluster(t, 1, append(env, "MOIM_REDIS_SOCKET_HMAC=off")...)
	for _, hmac := range []string{"optional", ""} {
		d.nodes = append(d.nodes, startNode(t, append(env, "MOIM_REDIS_SOCKET_HMAC="+hmac)...))
	}
	groupID := newGroup(t, d)
	names := []string{"before", "upgrade", "after"}
	var clients []*client
	for i := range d.nodes {
		clients = append(clients, d.ws(t, i, "ana"))
		clients[i].subscribe(groupID)
	}
	for i, name := range names {
		clients[i].must("group:signal", object{"groupId": groupID, "type": "message", "data": name}, nil)
	}
	for i, want := range [][]string{{"after", "upgrade"}, {"after", "before"}, {"upgrade"}} {
		got := func() []string { return slices.Sorted(slices.Values(strings.Fields(signalTexts(t, clients[i])))) }
		if !wait(soon, func() bool { return slices.Equal(got(), want) }) {
			t.Errorf("a node %q received %q, want %q", names[i], got(), want)
		}
	}
}
