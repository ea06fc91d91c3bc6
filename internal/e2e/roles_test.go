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

// TestDedicatedRedis: three nodes with a Redis server of its own for each role
// do the main job, and each server sees its own role's traffic alone.
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

	owner := make(map[string]string) // of each family of keys and channels
	for _, role := range roles {
		commands := monitors[role].Commands()
		seen := families(commands)
		t.Logf("the %s role's server saw %d commands, on %v", role, len(commands), slices.Sorted(maps.Keys(seen)))
		delete(seen, "nodes") // every server knows who is alive
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

// families returns the second parts of the names of the keys and channels that
// commands used: "presence" for moim:presence:….
func families(commands []redistest.Command) map[string]bool {
	seen := make(map[string]bool)
	for _, c := range commands {
		if c.Is("client") || c.Is("hello") { // the connection's name, for who looks at the server
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
