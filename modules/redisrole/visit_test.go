package redisrole_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestNodesVisitAServer registers nodes on the server that a role moves to.
func TestNodesVisitAServer(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	visit := func(id redisrole.NodeID, database string) (*redisrole.Registry, *redisrole.Clients) {
		c, err := redisrole.New(redisrole.Config{URL: one.URL(), Prefix: "of-" + database}, id, nil)
		if err != nil {
			t.Fatal(err)
		}
		to, err := c.On(redisrole.Group, two.URL())
		if err != nil {
			t.Fatal(err)
		}
		r := redisrole.NewRegistry(c, slog.New(slog.DiscardHandler))
		redisrole.SetRenewEvery(r, 20*time.Millisecond)
		announce(t, r, database)
		t.Cleanup(func() {
			_ = r.Stop(context.Background())
			_ = to.Close()
			_ = c.Close()
		})
		return r, to
	}
	a, there := visit("a", "db1")
	for range 2 {
		if err := a.Visit(t.Context(), there, redisrole.Group); err != nil {
			t.Fatal(err)
		}
	}
	alone := member(t, redisrole.Config{URL: two.URL(), Prefix: "of-db1"}, "elsewhere")
	if err := alone.Announce(t.Context(), "db2"); !errors.As(err, new(*redisrole.ForeignError)) {
		t.Errorf("another deployment is not refused: %v", err)
	}
	two.Restart() // the restarted server has no data, so the nodes must register again
	known := func() int64 { return two.Client().Exists(t.Context(), "of-db1:nodes").Val() }
	waittest.Until(t, "the visitor renews its lease", func() bool { return known() == 1 })
	a.Leave(t.Context(), there, redisrole.Group)
	waittest.Until(t, "the visitor removes its entry", func() bool { return known() == 0 })

	announce(t, alone, "db2")
	if err := a.Visit(t.Context(), there, redisrole.Group); !errors.As(err, new(*redisrole.ForeignError)) {
		t.Errorf("the node was accepted on a server of another deployment: %v", err)
	}
	wantNodes(t, a, "a")
}
