package redisrole_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/redisrole"
)

func open(t *testing.T, cfg redisrole.Config, given map[redisrole.Role]redis.UniversalClient) *redisrole.Clients {
	t.Helper()
	c, err := redisrole.New(cfg, "n1", given)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRolesShareOneClientUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	own := redis.NewClient(&redis.Options{Addr: "cache:1"})
	defer own.Close()
	const url = "redis://localhost:6379"
	c := open(t, redisrole.Config{URL: url, SocketURL: url}, map[redisrole.Role]redis.UniversalClient{redisrole.Cache: own})
	if c.Client(redisrole.Socket) == c.Client(redisrole.Group) {
		t.Error("a role with a URL of its own got the shared client, because the address is the same")
	}
	if c.Client(redisrole.Cache) != own {
		t.Error("the given client was not used")
	}
	for role, want := range map[redisrole.Role]redisrole.Source{
		redisrole.Socket: redisrole.Dedicated, redisrole.Group: redisrole.Shared, redisrole.Cache: redisrole.Given,
	} {
		if got := c.Source(role); got != want {
			t.Errorf("%s: source %q, want %q", role, got, want)
		}
		if got := c.Dedicated(role); got != (want == redisrole.Dedicated) {
			t.Errorf("%s: dedicated %t", role, got)
		}
	}
	shared := open(t, redisrole.Config{URL: url}, nil)
	if shared.Client(redisrole.Socket) != shared.Client(redisrole.Cache) {
		t.Error("two roles without a URL of their own do not share a client")
	}
	none := open(t, redisrole.Config{}, nil)
	if none.Uses(redisrole.Socket) || none.Client(redisrole.Socket) != nil || none.Where(redisrole.Socket) != "" {
		t.Error("an embedded node has a client")
	}
	if err := none.Health(t.Context(), redisrole.Socket); !errors.Is(err, redisrole.ErrNoRedis) {
		t.Error(err)
	}
	if _, err := none.Duplicate(redisrole.Socket); !errors.Is(err, redisrole.ErrNoRedis) {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "localhost:1"}})
	defer ring.Close()
	for name, c := range map[string]struct {
		config redisrole.Config
		node   redisrole.NodeID
		given  map[redisrole.Role]redis.UniversalClient
	}{
		"an empty node id":      {node: ""},
		"a node id of two":      {node: "a b"},
		"an unknown role":       {node: "n", given: map[redisrole.Role]redis.UniversalClient{"mail": ring}},
		"no client":             {node: "n", given: map[redisrole.Role]redis.UniversalClient{redisrole.Cache: nil}},
		"a ring as the socket":  {node: "n", config: redisrole.Config{URL: "redis://h"}, given: map[redisrole.Role]redis.UniversalClient{redisrole.Socket: ring}},
		"a wrong configuration": {node: "n", config: redisrole.Config{URL: "h"}},
	} {
		if _, err := redisrole.New(c.config, c.node, c.given); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestDuplicateKeepsSettings(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithTLS(), redistest.WithUser("moim", "secret"))
	dials := make(chan struct{}, 100)
	base, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	config := s.TLSConfig()
	base.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials <- struct{}{}
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
	}
	base.MaxRetries, base.ReadTimeout, base.DB = -1, -1, 3
	given := redis.NewClient(base)
	defer given.Close()
	c := open(t, redisrole.Config{}, map[redisrole.Role]redis.UniversalClient{redisrole.Socket: given, redisrole.Group: given})
	dup, err := c.Duplicate(redisrole.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := dup.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if len(dials) != 1 {
		t.Fatalf("%d dials through the given dialer, want 1", len(dials))
	}
	client, ok := dup.(*redis.Client)
	if !ok {
		t.Fatalf("the duplicate is a %T", dup)
	}
	opt := client.Options()
	if opt.MaxRetries != 0 || opt.ReadTimeout != 0 || opt.DB != 3 {
		t.Fatalf("settings were lost: retries %d, read timeout %s, database %d", opt.MaxRetries, opt.ReadTimeout, opt.DB)
	}
	if err := dup.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := given.Ping(t.Context()).Err(); err != nil {
		t.Fatalf("the given client was closed: %v", err)
	}
}

func TestConnectionsCarryTheNodesName(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, redisrole.Config{URL: s.URL(), SocketURL: s.URL()}, nil)
	for _, role := range redisrole.Roles() {
		if err := c.Health(t.Context(), role); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Client().ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{" name=moim:n1 ", " name=moim:n1:socket "} {
		if !strings.Contains(list, name) {
			t.Errorf("no connection is called%s:\n%s", name, list)
		}
	}
}

func TestDeadServerFailsFast(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	c := open(t, redisrole.Config{URL: s.URLVia(p.Addr())}, nil)
	if err := c.Health(t.Context(), redisrole.Group); err != nil {
		t.Fatal(err)
	}
	for name, hurt := range map[string]func(){"cut": p.Cut, "frozen": p.Freeze} {
		hurt()
		began := time.Now()
		if err := c.Health(t.Context(), redisrole.Group); err == nil {
			t.Errorf("%s: no error", name)
		}
		if took := time.Since(began); took > within {
			t.Errorf("%s: it took %s", name, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began = time.Now()
		_ = c.Health(ctx, redisrole.Group)
		cancel()
		if took := time.Since(began); took > within {
			t.Errorf("%s: a deadline was not kept: %s", name, took)
		}
		p.Heal()
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithPassword("secret"),
		redistest.WithConfig("maxmemory 100mb"), redistest.WithConfig("maxmemory-policy allkeys-lru"))
	c := open(t, redisrole.Config{SocketURL: s.URL() + "/2", GroupURL: s.URL(), CacheURL: "redis://127.0.0.1:1"}, nil)
	for _, key := range []string{"moim:a", "moim:b:c", "moimoim:x", "other"} {
		if err := s.Client().Set(t.Context(), key, "", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	reports := c.Check(t.Context())
	socket, group, cache := reports[0], reports[1], reports[2]
	if socket.Role != redisrole.Socket || socket.Where != s.Addr()+"/2" || socket.Source != redisrole.Dedicated || socket.Keys != 0 || socket.Err != nil {
		t.Errorf("socket: %+v", socket)
	}
	if group.Keys != 2 || group.KeysMore || group.RoundTrip <= 0 || group.Topology != "standalone" || group.Version == "" || group.Eviction != "allkeys-lru" || group.Err != nil {
		t.Errorf("group: %+v", group)
	}
	if advice := group.Advice(); len(advice) != 1 || !strings.Contains(advice[0], "evicts keys (allkeys-lru)") {
		t.Errorf("advice: %q", advice)
	}
	if cache.Err == nil || cache.Where != "127.0.0.1:1/0" {
		t.Errorf("cache: %+v", cache)
	}
}

// TestDuplicateWhileTheGivenClientConnects needs the race detector: the first connection of a
// client changes the client's settings.
func TestDuplicateWhileTheGivenClientConnects(t *testing.T) {
	t.Parallel()
	given := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr()})
	defer given.Close()
	c := open(t, redisrole.Config{}, map[redisrole.Role]redis.UniversalClient{redisrole.Cache: given})
	var connects sync.WaitGroup
	connects.Go(func() {
		if err := given.Ping(context.WithoutCancel(t.Context())).Err(); err != nil {
			t.Error(err)
		}
	})
	dup, err := c.Duplicate(redisrole.Cache)
	connects.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := dup.Close(); err != nil {
		t.Error(err)
	}
}
