package redisrole_test

import (
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/redisrole"
)

// verify calls Verify and checks its result.
func verify(t *testing.T, c *redisrole.Clients, want bool) {
	t.Helper()
	got, err := c.Verify(t.Context(), redisrole.Cache)
	if err != nil || got != want {
		t.Fatalf("replaced %t, %v; want %t", got, err, want)
	}
}

// runID returns the id of the server to which a client's connections lead.
func runID(t *testing.T, c redis.UniversalClient) string {
	t.Helper()
	info, ok := c.(*redis.Client)
	if !ok {
		t.Fatalf("a client of type %T", c)
	}
	return info.InfoMap(t.Context(), "server").Item("Server", "run_id")
}

// TestT16AnotherServerUnderTheAddress makes the address lead to another server while the old one
// and its connections stay up. This happens with a virtual address or after a DNS change.
func TestT16AnotherServerUnderTheAddress(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"shared", "dedicated", "given"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			first, second := redistest.Start(t), redistest.Start(t)
			p := proxytest.Start(t, first.Addr())
			url := first.URLVia(p.Addr())
			config := redisrole.Config{URL: url}
			var given map[redisrole.Role]redis.UniversalClient
			switch kind {
			case "dedicated":
				config = redisrole.Config{CacheURL: url}
			case "given":
				own := redis.NewClient(&redis.Options{Addr: p.Addr()})
				t.Cleanup(func() { _ = own.Close() })
				config, given = redisrole.Config{}, map[redisrole.Role]redis.UniversalClient{redisrole.Cache: own}
			}
			c := open(t, config, given)
			redisrole.VerifyAlways(c, redisrole.Cache)
			again, err := c.Duplicate(redisrole.Cache)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = again.Close() })
			sub := again.Subscribe(t.Context(), "channel")
			t.Cleanup(func() { _ = sub.Close() })
			if _, err := sub.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			client := c.Client(redisrole.Cache)
			before := runID(t, client)
			verify(t, c, false)
			verify(t, c, false)

			p.Redirect(second.Addr())
			if runID(t, client) != before {
				t.Fatal("the connections did not stay on the old server, so nothing was tested")
			}
			verify(t, c, true)
			verify(t, c, false)
			if kind != "given" && runID(t, client) == before { // the owner of a given client decides about its connections
				t.Error("the client still uses the old server")
			}
			if _, err := sub.ReceiveTimeout(t.Context(), 5*time.Second); err == nil {
				// go-redis has subscribed again on the new server.
				if n := second.Client().PubSubNumSub(t.Context(), "channel").Val()["channel"]; n != 1 {
					t.Error("the subscription stayed on the old server")
				}
			}
		})
	}
}

// TestADemotedMasterIsFound makes the master a replica. It stays up and answers on every
// connection.
func TestADemotedMasterIsFound(t *testing.T) {
	t.Parallel()
	old, next := redistest.Start(t), redistest.Start(t)
	p := proxytest.Start(t, old.Addr())
	c := open(t, redisrole.Config{URL: old.URLVia(p.Addr())}, nil)
	redisrole.VerifyAlways(c, redisrole.Cache)
	client := c.Client(redisrole.Cache)
	before := runID(t, client)
	verify(t, c, false)
	host, port, err := net.SplitHostPort(next.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Client().ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	verify(t, c, true) // its address still leads to it
	p.Redirect(next.Addr())
	verify(t, c, true)
	if runID(t, client) == before {
		t.Error("the client still uses the old master")
	}
}

func TestVerifyAsksSeldomAndFailsFast(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	c := open(t, redisrole.Config{URL: s.URLVia(p.Addr())}, nil)
	asked := time.Now()
	for range 10 {
		verify(t, c, false)
	}
	if n := p.Accepted(); n != 1 && time.Since(asked) < 4*time.Second { // after 4 s it may ask again
		t.Errorf("%d connections for 10 calls, want 1", n)
	}
	redisrole.VerifyAlways(c, redisrole.Cache)
	p.Freeze()
	began := time.Now()
	if _, err := c.Verify(t.Context(), redisrole.Cache); err == nil {
		t.Error("a server that does not answer was found")
	}
	if took := time.Since(began); took > within {
		t.Errorf("it took %s", took)
	}
}

// TestVerifyWithoutTheRight checks that Verify ignores a server that refuses INFO.
func TestVerifyWithoutTheRight(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithUser("app", "secret", "~*", "&*", "+@all", "-info"))
	p := proxytest.Start(t, s.Addr())
	c := open(t, redisrole.Config{URL: s.URLVia(p.Addr())}, nil)
	redisrole.VerifyAlways(c, redisrole.Cache)
	if err := c.Health(t.Context(), redisrole.Cache); err != nil {
		t.Fatal(err)
	}
	verify(t, c, false)
	s.Restart()
	verify(t, c, false)
}

func TestReset(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, redisrole.Config{URL: s.URL()}, nil)
	if err := c.Health(t.Context(), redisrole.Cache); err != nil {
		t.Fatal(err)
	}
	if n := redisrole.Tracked(c, redisrole.Cache); n != 1 {
		t.Fatalf("%d connections are tracked, want 1", n)
	}
	c.Reset(redisrole.Cache)
	if n := redisrole.Tracked(c, redisrole.Cache); n != 0 {
		t.Errorf("%d connections are still tracked", n)
	}
	if err := c.Health(t.Context(), redisrole.Cache); err != nil { // Health must detect the change before it uses a connection
		t.Errorf("the next call failed: %v", err)
	}
	open(t, redisrole.Config{}, nil).Reset(redisrole.Cache) // a role without Redis
}

// TestVerifyKeepsWhatIsNew checks that connections that were made after a server died stay open,
// because they lead to its successor.
func TestVerifyKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	c := open(t, redisrole.Config{URL: s.URLVia(p.Addr())}, nil)
	redisrole.VerifyAlways(c, redisrole.Cache)
	again, err := c.Duplicate(redisrole.Cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	sub := again.Subscribe(t.Context(), "channel")
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	verify(t, c, false)
	s.Restart()
	if _, err := sub.ReceiveTimeout(t.Context(), 5*time.Second); err == nil {
		t.Fatal("the subscription did not end")
	}
	_ = sub.Close()
	if err := c.Health(t.Context(), redisrole.Cache); err != nil {
		t.Fatal(err)
	}
	before := redisrole.Tracked(c, redisrole.Cache)
	verify(t, c, true)
	if now := redisrole.Tracked(c, redisrole.Cache); now != before || now == 0 {
		t.Errorf("%d connections are left of %d", now, before)
	}
}

// TestVerifyGivesUpOnAnUnstableAddress checks that Verify ignores an address that leads to
// another server each time, such as a load balancer's.
func TestVerifyGivesUpOnAnUnstableAddress(t *testing.T) {
	t.Parallel()
	servers := []*redistest.Server{redistest.Start(t), redistest.Start(t)}
	p := proxytest.Start(t, servers[0].Addr())
	c := open(t, redisrole.Config{URL: servers[0].URLVia(p.Addr())}, nil)
	redisrole.VerifyAlways(c, redisrole.Cache)
	resets, failures := 0, 0
	for i := range 20 {
		p.Redirect(servers[i%2].Addr())
		replaced, err := c.Verify(t.Context(), redisrole.Cache)
		if replaced {
			resets++
		}
		if err != nil {
			failures++
		}
	}
	if resets != 3 || failures != 1 {
		t.Errorf("%d resets and %d errors, want 3 and 1", resets, failures)
	}
}
