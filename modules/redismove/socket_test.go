package redismove

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// socketNode is a node's mover and adapter.
type socketNode struct {
	*redisadapter.Adapter
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
	a, err := redisadapter.New(clients, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	mover := New(db, clients, secret, log)
	mover.every = 100 * time.Millisecond
	mover.Add(redisrole.Socket, NewSocketPart(a))
	if err := mover.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := &socketNode{Adapter: a, received: make(chan string, 100)}
	if err := a.Start(t.Context(), func(env adapter.Envelope) { n.received <- env.Event }, func() {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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

// TestT75SocketTargetDies: wherever the target dies, the move goes no further,
// envelopes arrive, and it can be taken back.
func TestT75SocketTargetDies(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]string{"join": "cannot go on to both", "both": "cannot go on to switch", "switch": "the move stands at switch: ping"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			one, two := redistest.Start(t), redistest.Start(t, redistest.WithPassword("hunter2"))
			db := openDatabase(t)
			cfg := redisrole.Config{SocketURL: one.URL(), GroupURL: one.URL()}
			a, b := startSocketNode(t, db, cfg, "a", nil), startSocketNode(t, db, cfg, "b", nil)
			select {
			case <-b.Subscribe("r"):
			case <-time.After(10 * time.Second):
				t.Fatal("the room is not subscribed to")
			}
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
				case <-time.After(10 * time.Second):
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

// A node whose role is in its own process holds the move back, instead of
// letting it wait.
func TestNodeWithoutThePart(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	db := openDatabase(t)
	startNode(t, db, one.URL(), "a") // the cache alone
	leader, err := NewLeader(db, redisrole.Config{SocketURL: one.URL(), GroupURL: one.URL()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	if m, err := leader.Lead(t.Context(), Order{Role: redisrole.Socket, To: two.URL()}); err == nil || !strings.Contains(err.Error(), "node a cannot go on to settled: this node's socket role") {
		t.Fatalf("%s, %v", m.Phase, err)
	}
}

// The embedding program's client stays what the role uses.
func TestGivenSocketClientIsNotMoved(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	db := openDatabase(t)
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
