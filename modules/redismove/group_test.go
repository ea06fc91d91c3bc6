package redismove

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/redisrole"
)

// startPresence starts the mover and the presence of a node.
func startPresence(t *testing.T, db *database.DB, url string, id redisrole.NodeID) *GroupPart {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	clients, err := redisrole.New(redisrole.Config{GroupURL: url, SocketURL: url}, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	registry := redisrole.NewRegistry(clients, log)
	if err := registry.Announce(t.Context(), "one database"); err != nil {
		t.Fatal(err)
	}
	mover, part := New(db, clients, secret, log), NewGroupPart(clients, log)
	mover.Announce(registry)
	mover.every = 100 * time.Millisecond
	mover.Add(redisrole.Group, part)
	if err := mover.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tell := func(_ string, changes []group.PresenceChange) { t.Errorf("received %+v", changes) }
	if err := part.Start(t.Context(), time.Minute, tell); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(part.Stop(ctx), mover.Stop(ctx), registry.Stop(ctx)); err != nil {
			t.Error(err)
		}
	})
	return part
}

// TestT75GroupTargetDies kills the target while both servers are written. The move must stop,
// presence must work, and it must be possible to revert the move. After a second move, it kills
// the old server, which must not matter.
func TestT75GroupTargetDies(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	db := databasetest.Open(t, "")
	a, b := startPresence(t, db, one.URL(), "a"), startPresence(t, db, one.URL(), "b")
	come := func(p *GroupPart, user string) {
		t.Helper()
		waittest.Until(t, "it is stored", func() bool { // a busy machine may be late
			_, err := p.Apply(t.Context(), []presence.Attendance{{GroupID: "g", UserID: user, Here: true}})
			if err != nil && !errors.Is(err, fault.ErrUnavailable) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	online := func(p *GroupPart, want int) {
		t.Helper()
		if n, err := p.Count(t.Context(), []string{"g"}); err != nil || n[0] != want {
			t.Errorf("%d are online, %v, not %d", n, err, want)
		}
	}
	come(a, "ana")
	come(b, "bo")

	leader, err := NewLeader(db, redisrole.Config{GroupURL: one.URL(), SocketURL: one.URL()}, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	die := "both"
	leader.Progress = func(text string) {
		if die != "" && strings.HasPrefix(text, die) {
			two.Kill()
		}
	}
	order := Order{Role: redisrole.Group, To: two.URL()}
	if m, err := leader.Lead(t.Context(), order); err == nil || m.Phase != Leaving || !strings.Contains(err.Error(), "cannot go on to switch: ping") {
		t.Fatalf("the move stands at %s, %v", m.Phase, err)
	}
	come(a, "cy")
	online(a, 3)
	online(b, 3)
	order.Back, order.To = true, ""
	if m, err := leader.Lead(t.Context(), order); err != nil || m.Phase != Settled {
		t.Fatalf("taken back to %s, %v", m.Phase, err)
	}
	online(b, 3)

	two.Restart()
	die = ""
	order = Order{Role: redisrole.Group, To: two.URL()}
	deadline := time.After(30 * time.Second)
	for {
		m, err := leader.Lead(t.Context(), order)
		if err == nil && m.Phase == Moved {
			break
		}
		select {
		case <-deadline: // a restarted server may refuse connections for a second
			t.Fatalf("the move stands at %s, %v", m.Phase, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	one.Kill()
	come(b, "dee")
	online(a, 4)
	online(b, 4)
	waittest.Until(t, "the nodes are known on the new server", func() bool { return two.Client().ZCard(t.Context(), "moim:nodes").Val() == 2 })
}
