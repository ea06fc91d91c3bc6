package grouptest

import (
	"math"
	"slices"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// testMessages lists the messages among other events, newest first.
func testMessages(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	list := func(before int64, limit int) []group.Event {
		t.Helper()
		events, err := s.Messages(ctx, g.ID, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	same(t, "a group without messages", list(math.MaxInt64, 10), []group.Event{})
	var want []group.Event
	for n := range 6 {
		want = append(want, change(t, s, g.ID, post(ctx, n))...) // versions 2, 4, 6, 8, 10 and 12
		change(t, s, g.ID, join(ctx, user(n)))
		change(t, s, other.ID, post(ctx, n))
	}
	slices.Reverse(want)
	same(t, "all", list(math.MaxInt64, 100), want)
	for _, c := range []struct {
		before int64
		limit  int
		want   []int64
	}{
		{math.MaxInt64, 2, []int64{12, 10}},
		{10, 2, []int64{8, 6}},
		{9, 100, []int64{8, 6, 4, 2}},
		{2, 100, []int64{}},
		{0, 100, []int64{}},
	} {
		same(t, "versions", versions(list(c.before, c.limit)), c.want)
	}
	sweep(t, s, upkeep.Retention{Count: 4})
	same(t, "what is left of the log", versions(list(math.MaxInt64, 100)), []int64{12, 10})

	_, err := s.Messages(ctx, newID(), math.MaxInt64, 10)
	isNotFound(t, "messages of an unknown group", err)
	change(t, s, g.ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	_, err = s.Messages(ctx, g.ID, math.MaxInt64, 10)
	isNotFound(t, "messages of a deleted group", err)
}
