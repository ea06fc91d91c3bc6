package redisadapter_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// TestAClientWithoutTimeoutsHoldsNobody gives the adapter a client that waits for a dead server
// without limit. The adapter must still answer callers, reconnect and stop.
func TestAClientWithoutTimeoutsHoldsNobody(t *testing.T) {
	t.Parallel()
	const never = -1 // go-redis uses -1 for no timeout
	s := redistest.Start(t)
	c := redistest.StartCluster(t, 1)
	for _, test := range []struct {
		name   string
		proxy  *proxytest.Proxy
		client func(addr string) redis.UniversalClient
	}{
		{"one server", proxytest.Start(t, s.Addr()), func(addr string) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: never, WriteTimeout: never})
		}},
		{"cluster", proxytest.Start(t, c.Masters[0].Addr()), func(addr string) redis.UniversalClient {
			// All addresses in the cluster's answers lead to its master through the proxy.
			dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, ReadTimeout: never, WriteTimeout: never, Dialer: dial})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := test.client(test.proxy.Addr())
			t.Cleanup(func() { _ = client.Close() })
			given := map[redisrole.Role]redis.UniversalClient{redisrole.Socket: client, redisrole.Group: client}
			from, to := newNode(t, redisrole.Config{}, given), newNode(t, redisrole.Config{}, given)
			for _, n := range []*node{from, to} {
				redisadapter.Hurry(n.Adapter)
				n.start(t)
			}
			to.join(t, "r")
			flow(t, from, to, "r")
			test.proxy.Freeze()
			answered := make(chan error, 1)
			go func() { answered <- from.Publish(context.WithoutCancel(t.Context()), adapter.Envelope{Room: "r"}) }()
			select {
			case err := <-answered:
				if err == nil {
					t.Error("Publish succeeded although the server does not answer")
				}
			case <-time.After(within):
				t.Error("the caller still waits")
			}
			waittest.Until(t, "the subscription is given up", func() bool { return to.logs.Count("cannot be reached") > 0 })
			test.proxy.Drop() // the held bytes never arrive
			test.proxy.Heal()
			flow(t, from, to, "r")
			test.proxy.Freeze()
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			if err := from.Stop(ctx); err != nil {
				t.Errorf("stop: %v", err)
			}
			test.proxy.Heal()
		})
	}
}
