package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestDedicatedRedis runs the main job on three nodes with one Redis server for each role. Each
// server must see only the traffic of its role.
func TestDedicatedRedis(t *testing.T) {
	t.Parallel()
	roles := []string{"socket", "group", "cache"}
	env := []string{"MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t)}
	monitors := make(map[string]*redistest.Monitor)
	for _, role := range roles {
		server := redistest.Start(t)
		monitors[role] = server.Monitor()
		env = append(env, "MOIM_REDIS_"+strings.ToUpper(role)+"_URL="+server.URL())
	}
	d := startCluster(t, 3, env...)
	began := time.Now()
	mainJob(t, d)
	t.Logf("the main job took %s on three nodes with three Redis servers", time.Since(began).Round(time.Millisecond))

	owner := make(map[string]string) // the role of each family of keys and channels
	for _, role := range roles {
		commands := monitors[role].Commands()
		seen := families(commands)
		t.Logf("the %s role's server saw %d commands, on %v", role, len(commands), slices.Sorted(maps.Keys(seen)))
		delete(seen, "nodes") // every server has the list of nodes
		if len(seen) == 0 {
			t.Errorf("the %s role's server was not used", role)
		}
		for family := range seen {
			if other := owner[family]; other != "" {
				t.Errorf("moim:%s… is used by the roles %s and %s", family, other, role)
			}
			owner[family] = role
		}
	}
}

// families returns the second parts of the names of keys and channels in commands. For
// moim:presence:… this is "presence".
func families(commands []redistest.Command) map[string]bool {
	seen := make(map[string]bool)
	for _, c := range commands {
		if c.Is("client") || c.Is("hello") { // sets the connection's name, which operators see
			continue
		}
		for _, arg := range c.Args[1:] {
			if rest, ok := strings.CutPrefix(strings.TrimPrefix(arg, "{"), "moim:"); ok {
				family, _, _ := strings.Cut(rest, ":")
				seen[strings.Trim(family, "{}")] = true
			}
		}
	}
	return seen
}
