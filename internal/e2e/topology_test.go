package e2e

import (
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestTopologies runs the main job on two deployments of two nodes. One has the socket role on a
// Redis cluster, the group role behind Sentinels, and the cache role on TLS. The other has all
// roles on one cluster.
func TestTopologies(t *testing.T) {
	t.Parallel()
	cluster, postgres := redistest.StartCluster(t, 3), pgtest.Start(t)
	secure := redistest.Start(t, redistest.WithTLS(), redistest.WithUser("moim", "secret"))
	for name, env := range map[string][]string{
		"each its own": {
			"MOIM_REDIS_SOCKET_URL=" + cluster.URL(),
			"MOIM_REDIS_GROUP_URL=" + redistest.StartTrio(t).URL(),
			"MOIM_REDIS_CACHE_URL=" + secure.URL() + "?tls_ca=" + secure.CAFile(),
		},
		"one cluster": {"MOIM_REDIS_PREFIX=other", "MOIM_REDIS_URL=" + cluster.URL()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startCluster(t, 2, append(env, "MOIM_DATABASE_URL="+postgres.NewDatabase(t))...)
			began := time.Now()
			mainJob(t, d)
			t.Logf("the main job took %s", time.Since(began).Round(time.Millisecond))
		})
	}
}
