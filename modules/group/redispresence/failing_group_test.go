package redispresence_test

import (
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group/redispresence"
)

// spoil makes a key of group g one that no script can read.
func spoil(t *testing.T, s *redistest.Server, key string) {
	t.Helper()
	if err := s.Client().Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Set(t.Context(), key, "spoilt", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

// The graces of groups are ended together. One group whose graces cannot be
// ended keeps those of no other from being ended and told.
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
	want(t, "told", news(n), []string{"h bo offline dropped"})
	if err := s.Client().Del(t.Context(), graces).Err(); err != nil {
		t.Fatal(err)
	}
	n.apply(t, "g", "+cy")
	n.apply(t, "g", "~cy")
	waittest.Until(t, "the group is looked at again", func() bool { return len(news(n)) > 1 })
	want(t, "told in the end", news(n), []string{"g cy offline dropped", "h bo offline dropped"})
}

// One group that cannot be swept leaves no dead node's users online in others.
func TestGroupThatFailsHoldsUpNoSweep(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dead, alive := startNodeGrace(t, s.URL(), redispresence.Lease), startNodeGrace(t, s.URL(), redispresence.Lease)
	for _, groupID := range []string{"g", "h", "i"} {
		dead.apply(t, groupID, "+ana")
	}
	spoil(t, s, usersKey(t, s))
	redispresence.Kill(dead.Store)
	waittest.Until(t, "the others are swept", func() bool { return len(news(alive)) == 4 })
	want(t, "told", news(alive), []string{
		"h ana offline node_lost", "h ana reconnecting node_lost", "i ana offline node_lost", "i ana reconnecting node_lost",
	})
}
