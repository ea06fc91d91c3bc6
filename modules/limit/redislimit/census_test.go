package redislimit

import (
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/limit"
)

// census returns the census of a node that uses the server.
func census(t *testing.T, client redis.UniversalClient, node string) *Census {
	t.Helper()
	return New(func() redis.UniversalClient { return client }, "moim", node, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// TestUserSockets counts a user's sockets on three nodes.
func TestUserSockets(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	var nodes []*limit.Limits
	for _, node := range []string{"a", "b", "c"} {
		l, err := limit.New(limit.Config{UserSockets: 50}, limit.Deps{Census: census(t, client, node)})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, l)
	}
	var closers []func()
	for i := range 200 {
		closed, err := nodes[i%3].Socket(t.Context(), "alice")
		if err == nil {
			closers = append(closers, closed)
		}
	}
	if len(closers) != 50 {
		t.Fatalf("%d sockets are allowed, want 50", len(closers))
	}
	if _, err := nodes[0].Socket(t.Context(), "bob"); err != nil {
		t.Errorf("another user: %v", err)
	}
	closers[1]()
	if _, err := nodes[2].Socket(t.Context(), "alice"); err != nil {
		t.Errorf("after one was closed on another node: %v", err)
	}
	for _, closed := range closers {
		closed()
	}
	if n, err := client.HLen(t.Context(), "moim:limit:sockets:alice").Result(); err != nil || n != 1 {
		t.Errorf("%d nodes are left, of one with a socket: %v", n, err)
	}
}

// TestDeadNode checks that the sockets of a killed node stop counting after a while. A live
// node repeats the counts of users with many sockets before that.
func TestDeadNode(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	dead, live := census(t, client, "dead"), census(t, client, "live")
	if _, err := dead.Count(t.Context(), "alice", 30); err != nil {
		t.Fatal(err)
	}
	key := "moim:limit:sockets:alice"
	if others, err := live.Count(t.Context(), "alice", 1); err != nil || others != 30 {
		t.Fatalf("%d others, %v", others, err)
	}
	if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > lasting {
		t.Errorf("kept for %v", ttl)
	}
	past := func() { client.HSet(t.Context(), key, "dead", "30 1") } // makes the count expire
	past()
	if others, err := live.Count(t.Context(), "alice", 1); err != nil || others != 0 {
		t.Errorf("%d others, %v", others, err)
	}
	past()
	dead.repeat(t.Context())
	if others, err := live.Count(t.Context(), "alice", 1); err != nil || others != 30 {
		t.Errorf("after repeating: %d others, %v", others, err)
	}
	client.HSet(t.Context(), key, "strange", "what is this")
	if others, err := live.Count(t.Context(), "alice", 1); err != nil || others != 30 {
		t.Errorf("with an invalid value: %d others, %v", others, err)
	}
}

// TestBrokenValues checks that invalid values count as absent, are replaced, and are
// counted as broken.
func TestBrokenValues(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	a, b := census(t, client, "a"), census(t, client, "b")
	key := "moim:limit:sockets:alice"
	if err := client.Set(t.Context(), key, "broken", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if others, err := a.Count(t.Context(), "alice", 3); err != nil || others != 0 || a.Broken() != 1 {
		t.Errorf("%d others, %v; %d broken", others, err, a.Broken())
	}
	for field, value := range map[string]string{"x": "", "y": "5", "z": "5 x", "far": "5 99999999999999", "many": "99999999999 99999999999999"} {
		client.HSet(t.Context(), key, field, value)
	}
	if others, err := b.Count(t.Context(), "alice", 1); err != nil || others != 3 {
		t.Errorf("%d others, %v, want 3", others, err)
	}
	if n := client.HLen(t.Context(), key).Val(); n != 2 {
		t.Errorf("%d fields are left, want those of both nodes", n)
	}
}

// TestOutage checks that each node counts alone while the server is down. A call must not
// wait for the server each time.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := census(t, server.Client(), "a")
	l, err := limit.New(limit.Config{UserSockets: 2}, limit.Deps{Census: c})
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	for range 2 {
		if _, err := l.Socket(t.Context(), "alice"); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Socket(t.Context(), "alice"); err == nil {
		t.Error("a third socket is allowed")
	}
	if _, err := c.Count(t.Context(), "bob", 1); err != errResting { //nolint:errorlint // Count returns exactly this error
		t.Errorf("the server is asked again at once: %v", err)
	}
	server.Restart()
	c.failed.Store(time.Now().Add(-rest).UnixNano())
	if _, err := c.Count(t.Context(), "bob", 1); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	c := census(t, client, "a")
	for range 2 {
		if _, err := c.Count(t.Context(), "alice", repeatFrom); err != nil {
			t.Fatal(err)
		}
		if err := c.Forget(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
	}
	c.repeat(t.Context())
	if keys, err := client.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("left: %v, %v", keys, err)
	}
}
