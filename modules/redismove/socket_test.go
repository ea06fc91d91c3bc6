package redismove

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
)

// socketNode is the mover and the adapter of a node.
type socketNode struct {
	*SocketPart
	received chan string
}

func startSocketNode(t *testing.T, db *database.DB, cfg redisrole.Config, id redisrole.NodeID, given map[redisrole.Role]redis.UniversalClient) *socketNode {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	clients, err := redisrole.New(cfg, id, given)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	a, err := NewSocketPart(clients, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	mover := New(db, clients, secret, log)
	mover.every = 100 * time.Millisecond
	mover.Add(redisrole.Socket, a)
	if err := mover.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := &socketNode{SocketPart: a, received: make(chan string, 100)}
	if err := a.Start(t.Context(), func(env adapter.Envelope) { n.received <- env.Event }, func() {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := mover.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestT75SocketTargetDies kills the target in each phase. The move must stop, envelopes must
// arrive, and it must be possible to revert the move.
func TestT75SocketTargetDies(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]string{"join": "cannot go on to both", "both": "cannot go on to switch", "switch": "the move stands at switch: ping"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			one, two := redistest.Start(t), redistest.Start(t, redistest.WithPassword("hunter2"))
			db := databasetest.Open(t, "")
			cfg := redisrole.Config{SocketURL: one.URL(), GroupURL: one.URL()}
			a, b := startSocketNode(t, db, cfg, "a", nil), startSocketNode(t, db, cfg, "b", nil)
			waittest.Receive(t, "the room is subscribed to", b.Subscribe("r"))
			arrives := func(event string) {
				t.Helper()
				if err := a.Publish(t.Context(), adapter.Envelope{Room: "r", Event: event}); err != nil {
					t.Errorf("%s: %v", event, err)
				}
				select {
				case got := <-b.received:
					if got != event {
						t.Errorf("%q arrived, want %q", got, event)
					}
				case <-time.After(30 * time.Second):
					t.Errorf("%s: it did not arrive", event)
				}
			}
			arrives("before")
			leader, err := NewLeader(db, cfg, secret)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = leader.Close() }()
			leader.Progress = func(text string) {
				if strings.HasPrefix(text, after) {
					two.Kill()
				}
			}
			order := Order{Role: redisrole.Socket, To: two.URL()}
			if m, err := leader.Lead(t.Context(), order); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("the move stands at %s, %v", m.Phase, err)
			}
			arrives("meanwhile")
			leader.Progress = nil
			if m, err := leader.Lead(t.Context(), Order{Role: redisrole.Socket, Back: true}); err != nil || m.Phase != Settled {
				t.Fatalf("taken back to %s, %v", m.Phase, err)
			}
			arrives("after")
			if err := a.Health(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNodeWithoutThePart checks that a node whose socket role is in its own process refuses the
// move at once. Otherwise the move would wait for it.
func TestNodeWithoutThePart(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	db := databasetest.Open(t, "")
	startNode(t, db, one.URL(), "a") // only the cache
	leader, err := NewLeader(db, redisrole.Config{SocketURL: one.URL(), GroupURL: one.URL()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	if m, err := leader.Lead(t.Context(), Order{Role: redisrole.Socket, To: two.URL()}); err == nil || !strings.Contains(err.Error(), "node a cannot go on to settled: this node's socket role") {
		t.Fatalf("%s, %v", m.Phase, err)
	}
}

// TestGivenSocketClientIsNotMoved checks that the role keeps using the client of the embedding
// program.
func TestGivenSocketClientIsNotMoved(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	db := databasetest.Open(t, "")
	client := one.Client()
	startSocketNode(t, db, redisrole.Config{}, "a", map[redisrole.Role]redis.UniversalClient{redisrole.Socket: client, redisrole.Group: client})
	leader, err := NewLeader(db, redisrole.Config{SocketURL: one.URL(), GroupURL: one.URL()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	if m, err := leader.Lead(t.Context(), Order{Role: redisrole.Socket, To: two.URL()}); err == nil || !strings.Contains(err.Error(), "the program that embeds this node") {
		t.Fatalf("%s, %v", m.Phase, err)
	}
}

// TestSocketSuite runs the suite on three nodes: one is not in a move, one is connected to both
// servers, and one publishes on both.
func TestSocketSuite(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	var prefixes atomic.Int64
	adaptertest.Run(t, func(t *testing.T) (opened [3]adapter.Adapter) {
		cfg := redisrole.Config{SocketURL: one.URL(), GroupURL: one.URL(), Prefix: fmt.Sprint("p", prefixes.Add(1))}
		for i, phase := range []Phase{Settled, Joined, Both} {
			own, err := redisrole.New(cfg, redisrole.NodeID(fmt.Sprint("node-", i)), nil)
			if err != nil {
				t.Fatal(err)
			}
			other, err := own.On(redisrole.Socket, two.URL())
			if err != nil {
				t.Fatal(err)
			}
			part, err := NewSocketPart(own, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = part.Stop(context.Background())
				_ = own.Close()
				_ = other.Close()
			})
			if err := part.Enter(t.Context(), Step{Phase: phase, Forward: true, From: own, To: other}); err != nil {
				t.Fatal(err)
			}
			opened[i] = part
		}
		return opened
	})
}

// TestCastOnBothServersCountsOnce checks that an envelope that both servers accepted is counted
// once.
func TestCastOnBothServersCountsOnce(t *testing.T) {
	t.Parallel()
	f := startFleet(t, redisrole.Config{}, redistest.Start(t).URL(), redistest.Start(t).URL())
	n := f.nodes[0]
	for _, phase := range []int{1, 2} {
		if err := n.Enter(t.Context(), n.step(phase, false)); err != nil {
			t.Fatal(err)
		}
	}
	const casts = 20
	for range casts {
		n.Cast(t.Context(), adapter.Envelope{Room: "r0", Event: "e"})
	}
	if err := n.Stop(t.Context()); err != nil { // publishes the queued envelopes
		t.Fatal(err)
	}
	if s := n.Stats(); s.Published != casts {
		t.Errorf("%d were counted, want %d", s.Published, casts)
	}
}
