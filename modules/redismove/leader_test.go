package redismove

import (
	"context"
	"flag"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/redisrole"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests mostly wait
		panic(err)
	}
	// After its client was closed, go-redis tries to reach a killed server for up to a second.
	childtest.VerifyMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

var secret = Secret{Key: "0123456789abcdef0123456789abcdef"}

// startNode starts the mover and the cache of a node.
func startNode(t *testing.T, db *database.DB, url string, id redisrole.NodeID) *cache.Cache {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	clients, err := redisrole.New(redisrole.Config{CacheURL: url}, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	mover, part := New(db, clients, secret, log), NewCachePart(clients, log)
	mover.every = 100 * time.Millisecond
	mover.Add(redisrole.Cache, part)
	if err := mover.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(cache.Config{}, part, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := mover.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func lead(t *testing.T, db *database.DB, url string, s Secret, o Order) (Move, error) {
	t.Helper()
	leader, err := NewLeader(db, redisrole.Config{CacheURL: url}, s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	return leader.Lead(t.Context(), o)
}

// TestT75TargetDies checks that a node that cannot reach the target stops the move, and that the
// move can then be reverted.
func TestT75TargetDies(t *testing.T) {
	t.Parallel()
	one, two, three := redistest.Start(t), redistest.Start(t, redistest.WithPassword("hunter2")), redistest.Start(t)
	db := databasetest.Open(t, "")
	c := startNode(t, db, one.URL(), "a")
	order := Order{Role: redisrole.Cache, To: two.URL()}

	leader, err := NewLeader(db, redisrole.Config{CacheURL: one.URL()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	leader.Progress = func(text string) {
		if strings.HasPrefix(text, "join") {
			two.Kill()
		}
	}
	if m, err := leader.Lead(t.Context(), order); err == nil || !strings.Contains(err.Error(), "node a cannot go on to both") || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("the move stands at %s, %v", m.Phase, err)
	}
	load := func(context.Context) (cache.Entry, error) { return cache.Entry{Revision: 1, Data: []byte("x")}, nil }
	if e, err := c.Get(t.Context(), "k", 1, load); err != nil || e.Revision != 1 {
		t.Errorf("meanwhile: %+v, %v", e, err)
	}
	order.Back, order.To = true, ""
	if m, err := leader.Lead(t.Context(), order); err != nil || m.Phase != Settled {
		t.Fatalf("taken back to %s, %v", m.Phase, err)
	}

	for name, tc := range map[string]struct {
		order Order
		s     Secret
		want  string
	}{
		"another role":        {Order{Role: "rooms", To: three.URL()}, secret, "there is no role"},
		"nowhere":             {Order{Role: redisrole.Cache}, secret, "--to: say where"},
		"no URL":              {Order{Role: redisrole.Cache, To: "redis://:hunter2@"}, secret, "--to: "},
		"where it is":         {Order{Role: redisrole.Cache, To: one.URL()}, secret, "is on " + one.Addr() + "/0 already"},
		"from somewhere else": {Order{Role: redisrole.Cache, To: three.URL(), From: two.URL()}, secret, "--from: the cache role is on " + one.Addr()},
		"without a secret":    {Order{Role: redisrole.Cache, To: three.URL()}, Secret{}, "auth.secret"},
		"a dead target":       {Order{Role: redisrole.Cache, To: two.URL()}, secret, "--to: ping"},
	} {
		if _, err := lead(t, db, one.URL(), tc.s, tc.order); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if m, err := lead(t, db, one.URL(), secret, Order{Role: redisrole.Cache, To: three.URL()}); err != nil || m.Phase != Moved {
		t.Fatalf("to another server: %s, %v", m.Phase, err)
	}
	if _, err := lead(t, db, one.URL(), secret, Order{Role: redisrole.Cache, Back: true}); err == nil || !strings.Contains(err.Error(), "no move of the cache role is under way") {
		t.Errorf("taken back after the end: %v", err)
	}
}

// TestT76TwoOperators starts a move twice. One operator leads it and the other is refused. The
// other can take over when the first is gone.
func TestT76TwoOperators(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	db := databasetest.Open(t, "")
	startNode(t, db, one.URL(), "a")
	first, err := NewLeader(db, redisrole.Config{CacheURL: one.URL()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	refused := false
	first.Progress = func(text string) {
		if !strings.HasPrefix(text, "join") {
			return
		}
		_, err := lead(t, db, one.URL(), secret, Order{Role: redisrole.Cache, To: two.URL()})
		refused = err != nil && strings.Contains(err.Error(), "another operator")
	}
	if m, err := first.Lead(t.Context(), Order{Role: redisrole.Cache, To: two.URL()}); err != nil || m.Phase != Moved {
		t.Errorf("the first: %s, %v", m.Phase, err)
	}
	if !refused {
		t.Error("the second operator was not refused")
	}
	if m, err := lead(t, db, one.URL(), secret, Order{Role: redisrole.Cache, To: one.URL(), From: two.URL()}); err != nil || m.Phase != Moved {
		t.Errorf("the second, later: %s, %v", m.Phase, err)
	}
}

// TestTakenBackAfterAMove reverts a second move that goes back to the first server. The role must
// stay on the server that the first move led to, whatever the configuration names.
func TestTakenBackAfterAMove(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	db := databasetest.Open(t, "")
	startNode(t, db, one.URL(), "a")
	to := func(url string) Order { return Order{Role: redisrole.Cache, To: url} }
	if m, err := lead(t, db, one.URL(), secret, to(two.URL())); err != nil || m.Phase != Moved {
		t.Fatalf("the first move: %s, %v", m.Phase, err)
	}
	leader, err := NewLeader(db, redisrole.Config{CacheURL: one.URL()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	leader.Progress = func(text string) {
		if strings.HasPrefix(text, "join") {
			cancel()
		}
	}
	if m, err := leader.Lead(ctx, to(one.URL())); err == nil || m.Phase != Both {
		t.Fatalf("the move back stands at %s, %v", m.Phase, err)
	}
	m, err := lead(t, db, one.URL(), secret, Order{Role: redisrole.Cache, Back: true})
	if err != nil || m.Phase != Settled || !m.MovedFrom(one.Addr()+"/0") || m.Server() != two.Addr()+"/0" {
		t.Fatalf("taken back: %s, %v, on %s", m.Phase, err, m.Server())
	}
	if m, err := lead(t, db, one.URL(), secret, to(one.URL())); err != nil || m.Phase != Moved || m.Source != two.Addr()+"/0" {
		t.Fatalf("back at last: %s from %s, %v", m.Phase, m.Source, err)
	}
}
