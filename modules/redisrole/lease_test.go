package redisrole_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
)

// within is how long a test waits for an expected event.
const within = 30 * time.Second

// member returns a node's registry that renews often.
func member(t *testing.T, cfg redisrole.Config, node redisrole.NodeID) *redisrole.Registry {
	t.Helper()
	c, err := redisrole.New(cfg, node, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := redisrole.NewRegistry(c, slog.New(slog.DiscardHandler))
	redisrole.SetRenewEvery(r, 20*time.Millisecond)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	})
	return r
}

func announce(t *testing.T, r *redisrole.Registry, database string) {
	t.Helper()
	if err := r.Announce(t.Context(), database); err != nil {
		t.Fatal(err)
	}
}

func wantNodes(t *testing.T, r *redisrole.Registry, want ...string) {
	t.Helper()
	got, err := redisrole.Nodes(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestNodesOfOneDeploymentSeeEachOther(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cfg := redisrole.Config{URL: s.URL(), CacheURL: s.URL() + "/5"}
	a, b := member(t, cfg, "a"), member(t, cfg, "b")
	announce(t, a, "db1")
	announce(t, b, "db1")
	wantNodes(t, a, "a", "b")
	wantNodes(t, b, "a", "b")
	if err := b.Announce(t.Context(), "db1"); err == nil {
		t.Fatal("a second announcement was accepted")
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNodes(t, a, "a")
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestT24Advice checks that a node warns if the group role's server evicts keys, and that Check
// shows other deployments on the server.
func TestT24Advice(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.WithConfig("maxmemory 100mb"), redistest.WithConfig("maxmemory-policy allkeys-lru"))
	c := open(t, redisrole.Config{URL: s.URL()}, nil)
	var log strings.Builder
	r := redisrole.NewRegistry(c, slog.New(slog.NewTextHandler(&log, nil)))
	announce(t, r, "db1")
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "evicts keys (allkeys-lru)"); n != 1 {
		t.Errorf("warned %d times:\n%s", n, log.String())
	}
	now := time.Now().Add(time.Minute).UnixMilli()
	for _, node := range []string{"db1 a", "db1 b", "db2 c"} {
		if err := s.Client().ZAdd(t.Context(), "moim:nodes", redis.Z{Score: float64(now), Member: node}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	socket := c.Check(t.Context())[0]
	if diff := cmp.Diff(map[string]int{"db1": 2, "db2": 1}, socket.Deployments); diff != "" {
		t.Error(diff)
	}
	if advice := socket.Advice(); len(advice) != 1 || !strings.Contains(advice[0], "2 deployments are live under one prefix") {
		t.Errorf("advice: %q", advice)
	}
}

func TestForeignDeploymentIsRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	// These nodes use different databases of one server. Pub/sub ignores the database, so they
	// must be refused.
	a, b := member(t, redisrole.Config{URL: s.URL() + "/3"}, "a"), member(t, redisrole.Config{URL: s.URL() + "/6"}, "b")
	announce(t, a, "db1")
	err := b.Announce(t.Context(), "db2")
	foreign, ok := errors.AsType[*redisrole.ForeignError](err)
	if !ok {
		t.Fatalf("it was accepted, or refused for another reason: %v", err)
	}
	if diff := cmp.Diff(&redisrole.ForeignError{Prefix: "moim", Where: s.Addr(), Database: "db1", Node: "a"}, foreign); diff != "" {
		t.Fatal(diff)
	}
	for _, part := range []string{"another deployment (database db1", `under prefix "moim" on ` + s.Addr(), "redis.prefix", "database.url"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	wantNodes(t, a, "a")
	announce(t, member(t, redisrole.Config{URL: s.URL(), Prefix: "staging"}, "b"), "db2")
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	announce(t, b, "db2") // after a refusal, it may try again
}

func TestOneOfTwoThatStartAtOnceIsRefused(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	for round := range 10 {
		prefix := "p" + string(rune('a'+round))
		// In the second deployment, the roles are on each other's servers.
		a := member(t, redisrole.Config{URL: one.URL(), CacheURL: two.URL(), Prefix: prefix}, "a")
		b := member(t, redisrole.Config{URL: two.URL(), CacheURL: one.URL(), Prefix: prefix}, "b")
		var errA, errB error
		var both sync.WaitGroup
		both.Go(func() { errA = a.Announce(t.Context(), "db1") })
		both.Go(func() { errB = b.Announce(t.Context(), "db2") })
		both.Wait()
		if (errA == nil) == (errB == nil) {
			t.Fatalf("round %d: want exactly one refusal, got %v and %v", round, errA, errB)
		}
	}
}

func TestRefusalLeavesNoTraceOnOtherServers(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	announce(t, member(t, redisrole.Config{CacheURL: one.URL()}, "a"), "db1")
	announce(t, member(t, redisrole.Config{CacheURL: two.URL(), Prefix: "other"}, "x"), "db1")
	b := member(t, redisrole.Config{URL: one.URL(), CacheURL: two.URL()}, "b")
	if err := b.Announce(t.Context(), "db2"); err == nil {
		t.Fatal("it was accepted")
	}
	if n := two.Client().ZCard(t.Context(), "moim:nodes").Val(); n != 0 {
		t.Fatalf("%d nodes on the other server, want none", n)
	}
}

func TestForeignNodesFoundLater(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cfg := redisrole.Config{URL: s.URL()}
	a, b := member(t, cfg, "a"), member(t, cfg, "b")
	found := make(chan error, 10)
	tell := func(err error) { found <- err }
	a.OnForeign(tell)
	b.OnForeign(tell)
	s.Kill() // both start while the server is down, so neither can be refused
	announce(t, a, "db1")
	announce(t, b, "db2")
	s.Restart()
	select {
	case err := <-found:
		foreign, ok := errors.AsType[*redisrole.ForeignError](err)
		if !ok {
			t.Fatal(err)
		}
		select {
		case err := <-found:
			t.Fatalf("the first node was refused as well: %v", err)
		case <-time.After(50 * time.Millisecond): // longer than two renewals
		}
		other := map[string]*redisrole.Registry{"a": a, "b": b}[foreign.Node]
		if err := other.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	case <-time.After(within):
		t.Fatal("OnForeign was not called")
	}
	select {
	case err := <-found:
		if err != nil {
			t.Fatalf("OnForeign was called on both: %v", err)
		}
	case <-time.After(within):
		t.Fatal("OnForeign was not called when the foreign nodes were gone")
	}
}

func TestLeaseIsRenewedAfterTheServerLostIt(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a := member(t, redisrole.Config{URL: s.URL()}, "a")
	announce(t, a, "db1")
	s.Restart()
	waittest.Until(t, "the node is announced again", func() bool {
		nodes, err := redisrole.Nodes(t.Context(), a)
		return err == nil && cmp.Equal(nodes, []string{"a"})
	})
	if ttl := s.Client().PTTL(t.Context(), "moim:nodes").Val(); ttl <= 0 || ttl > 2*redisrole.LeaseFor {
		t.Fatalf("the set expires in %s", ttl)
	}
}

func TestDeadNodesLeaseRunsOut(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a := member(t, redisrole.Config{URL: s.URL()}, "a")
	announce(t, a, "db1")
	// These keys are as left by a killed node whose lease is about to end, and by a node of
	// another deployment whose lease has ended.
	now := s.Client().Time(t.Context()).Val()
	s.Client().Do(t.Context(), "ZADD", "moim:nodes", now.Add(8*time.Second).UnixMilli(), "db1 dead", now.UnixMilli(), "db2 older")
	wantNodes(t, a, "a", "dead")
	waittest.Until(t, "the dead node is no longer listed", func() bool {
		nodes, err := redisrole.Nodes(t.Context(), a)
		return err == nil && cmp.Equal(nodes, []string{"a"})
	})
	announce(t, member(t, redisrole.Config{URL: s.URL()}, "b"), "db1")
}

// TestBrokenKeyIsReplaced registers nodes while their key holds a value of another type.
func TestBrokenKeyIsReplaced(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := member(t, redisrole.Config{URL: s.URL()}, "a"), member(t, redisrole.Config{URL: s.URL()}, "b")
	if err := s.Client().Set(t.Context(), "moim:nodes", "broken", 0).Err(); err != nil {
		t.Fatal(err)
	}
	wantNodes(t, a) // without an error
	announce(t, a, "db")
	announce(t, b, "db")
	if err := s.Client().Set(t.Context(), "moim:nodes", "broken", 0).Err(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "both are announced again", func() bool {
		nodes, err := redisrole.Nodes(t.Context(), a)
		return err == nil && len(nodes) == 2
	})
}
