package e2e

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestConnectionsAndCommands checks what docs/redis.md says about a node's connections to the
// server of each role, and about its commands while the node is idle.
func TestConnectionsAndCommands(t *testing.T) {
	t.Parallel()
	roles := []string{"socket", "group", "cache"}
	env := []string{"MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t)}
	servers := make(map[string]*redistest.Server)
	for _, role := range roles {
		servers[role] = redistest.Start(t)
		env = append(env, "MOIM_REDIS_"+strings.ToUpper(role)+"_URL="+servers[role].URL())
	}
	const nodes = 2
	d := startCluster(t, nodes, env...)
	f := newFleet(t, d, 4, 10)
	l := startLoad(t, d, f.groups, 20, 400)
	need(t, time.Minute, "messages flow", func() bool { return l.acked.Load() > 1000 })
	stat := func(role, section, key string) int {
		n, err := strconv.Atoi(servers[role].Client().InfoMap(t.Context(), strings.ToLower(section)).Item(section, key))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	connections := make(map[string]int)
	for _, role := range roles {
		connections[role] = (stat(role, "Clients", "connected_clients") - 1) / nodes // without this test's own connection
	}
	l.stop()
	f.needEveryEventOnce(0)
	idle := 10 * time.Second
	before := make(map[string]int)
	for _, role := range roles {
		before[role] = stat(role, "Stats", "total_commands_processed")
	}
	began := time.Now()
	<-time.After(idle)
	limits := map[string]struct{ connections, commands int }{"socket": {8, 5}, "group": {16, 20}, "cache": {16, 5}}
	for _, role := range roles {
		perSecond := float64(stat(role, "Stats", "total_commands_processed")-before[role]) / nodes / time.Since(began).Seconds()
		t.Logf("size: %s role: %d connections a node under load, %.1f commands/s a node without any", role, connections[role], perSecond)
		if limit := limits[role]; connections[role] > limit.connections || perSecond > float64(limit.commands) {
			t.Errorf("the %s role has %d connections and %.1f commands/s a node, more than %+v", role, connections[role], perSecond, limit)
		}
	}
}

// TestDocumentedMetrics checks that /metrics has the metrics that docs/redis.md names.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
	names := regexp.MustCompile(`\bmoim_[a-z_]+`).FindAllString(string(doc), -1)
	if len(names) < 10 {
		t.Fatalf("docs/redis.md names only %q", names)
	}
	body := n.metrics()
	for _, name := range names {
		if !strings.Contains(body, "\n# TYPE "+name+" ") {
			t.Errorf("docs/redis.md names %s, which /metrics does not have", name)
		}
	}
	for _, label := range regexp.MustCompile(`dependency="([a-z.]+)"`).FindAllStringSubmatch(string(doc), -1) {
		if !strings.Contains(body, label[0]) {
			t.Errorf("docs/redis.md names %s, which /metrics does not have", label[0])
		}
	}
}
