package redisrole_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestTopologies checks that each role can use another kind of server.
func TestTopologies(t *testing.T) {
	t.Parallel()
	trio, cluster := redistest.StartTrio(t), redistest.StartCluster(t, 3)
	secure := redistest.Start(t, redistest.WithTLS(), redistest.WithUser("moim", "p/w@1"), redistest.WithConfig("tls-auth-clients yes"))
	cert, key := secure.CertFiles()
	secureURL := fmt.Sprintf("%s?tls_ca=%s&tls_cert=%s&tls_key=%s", secure.URL(), secure.CAFile(), cert, key)
	c := open(t, redisrole.Config{SocketURL: cluster.URL(), GroupURL: trio.URL() + "/2", CacheURL: secureURL}, nil)
	hosts := func(url string) string { return strings.Split(strings.SplitN(url, "://", 2)[1], "/")[0] }
	for i, want := range []redisrole.Report{
		{Role: redisrole.Socket, Topology: "cluster", Where: hosts(cluster.URL())},
		{Role: redisrole.Group, Topology: "sentinel", Where: "moim-test@" + hosts(trio.URL()) + "/2"},
		{Role: redisrole.Cache, Topology: "standalone", Where: secure.Addr() + "/0", TLS: true},
	} {
		if err := c.Client(want.Role).Set(t.Context(), "moim:k", "v", 0).Err(); err != nil {
			t.Errorf("%s: %v", want.Role, err)
		}
		got := c.Check(t.Context())[i]
		if got.Role != want.Role || got.Topology != want.Topology || got.Where != want.Where || got.TLS != want.TLS || got.Keys != 1 || got.Err != nil {
			t.Errorf("%+v, want %+v", got, want)
		}
		again, err := c.Duplicate(want.Role)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Get(t.Context(), "moim:k").Val(); got != "v" {
			t.Errorf("%s: the duplicate reads %q", want.Role, got)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	if !c.Clustered(redisrole.Socket) || c.Clustered(redisrole.Group) {
		t.Error("only the socket role is on a cluster")
	}

	without := open(t, redisrole.Config{CacheURL: strings.Split(secureURL, "&tls_cert")[0]}, nil)
	if err := without.Health(t.Context(), redisrole.Cache); err == nil {
		t.Error("a client without a certificate was let in")
	}

	trio.Master().Kill()
	cluster.Owner("moim:k").Kill()
	waittest.Until(t, "the group role has a master again", func() bool {
		return c.Client(redisrole.Group).Set(t.Context(), "moim:k", "w", 0).Err() == nil
	})
	waittest.Until(t, "the socket role's slot is served again", func() bool {
		return c.Client(redisrole.Socket).Set(t.Context(), "moim:k", "w", 0).Err() == nil
	})
}
