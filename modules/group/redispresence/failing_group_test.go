package redispresence_test

import (
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group/redispresence"
)

// spoil replaces a key of group g by a string, which the scripts cannot read.
func spoil(t *testing.T, s *redistest.Server, key string) {
	t.Helper()
	if err := s.Client().Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Set(t.Context(), key, "spoilt", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestGroupThatFailsHoldsUpNoGraces checks that a group with a broken key does not delay
// the graces of other groups. The graces of many groups end in the same call.
func TestGroupThatFailsHoldsUpNoGraces(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Second
	s := redistest.Start(t)
	n := startNodeGrace(t, s.URL(), grace)
	n.apply(t, "g", "+ana")
	graces := usersKey(t, s) + ":graces"
	n.apply(t, "h", "+bo")
	n.apply(t, "g", "~ana")
	n.apply(t, "h", "~bo")
	spoil(t, s, graces)
	waittest.Until(t, "the grace of the other group ends", func() bool { return len(news(n)) > 0 })
	want(t, "reported", news(n), []string{"h bo offline dropped"})
	if err := s.Client().Del(t.Context(), graces).Err(); err != nil {
		t.Fatal(err)
	}
	n.apply(t, "g", "+cy")
	n.apply(t, "g", "~cy")
	waittest.Until(t, "the grace of the repaired group ends", func() bool { return len(news(n)) > 1 })
	want(t, "reported in the end", news(n), []string{"g cy offline dropped", "h bo offline dropped"})
}

// TestGroupThatFailsHoldsUpNoSweep checks that a group that cannot be swept does not stop
// the sweep of a dead node's other groups.
func TestGroupThatFailsHoldsUpNoSweep(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dead, alive := startNodeGrace(t, s.URL(), redispresence.Lease), startNodeGrace(t, s.URL(), redispresence.Lease)
	for _, groupID := range []string{"g", "h", "i"} {
		dead.apply(t, groupID, "+ana")
	}
	spoil(t, s, usersKey(t, s))
	redispresence.Kill(dead.Store)
	waittest.Until(t, "the other groups are swept", func() bool { return len(news(alive)) == 4 })
	want(t, "reported", news(alive), []string{
		"h ana offline node_lost", "h ana reconnecting node_lost", "i ana offline node_lost", "i ana reconnecting node_lost",
	})
}
