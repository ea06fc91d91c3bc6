package sqltokens_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/auth/sqltokens"
	"github.com/moim-live/moim/modules/database/databasetest"
)

// TestRevokedOnAllNodesWithinASecond runs three nodes that share only a database. They must
// refuse a revoked token within a second. A busy machine is sometimes slower, so 5 of 15 tries
// are enough.
func TestRevokedOnAllNodesWithinASecond(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).NewDatabase(t)
	var nodes []*auth.Revocations
	told := make(chan string, 100)
	for i := range 3 {
		r := auth.NewRevocations(auth.Config{}, sqltokens.New(databasetest.Open(t, url)), slog.New(slog.DiscardHandler))
		r.OnRevoked(func(of auth.Revocation) { told <- fmt.Sprint(i, " ", of.UserID) })
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Stop(context.Background()) })
		nodes = append(nodes, r)
	}
	quick, slowest := 0, time.Duration(0)
	for i := 0; i < 15 && quick < 5; i++ {
		user, began := fmt.Sprint("user-", i), time.Now()
		if err := nodes[i%3].Revoke(t.Context(), user, began); err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for len(seen) < 3 { // each node closes the user's sockets when it learns of the revocation
			select {
			case what := <-told:
				seen[what] = true
			case <-time.After(time.Minute):
				t.Fatalf("not within a minute: %v", seen)
			}
		}
		took := time.Since(began)
		if slowest = max(slowest, took); took < time.Second {
			quick++
		}
		for at, n := range nodes {
			if !seen[fmt.Sprint(at, " ", user)] {
				t.Errorf("node %d was not told of %s: %v", at, user, seen)
			}
			if err := n.Check(auth.Identity{UserID: user, Issued: began.Add(-time.Minute)}); err == nil {
				t.Errorf("node %d accepts the token of %s", at, user)
			}
		}
	}
	if quick < 5 {
		t.Errorf("of 15 revocations, %d reached all nodes within a second; the slowest took %s", quick, slowest)
	}
}
