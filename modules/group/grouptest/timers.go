package grouptest

import (
	"slices"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
)

func testTimers(t *testing.T, s Store) {
	ctx := t.Context()
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	first := create(t, s, func(g *group.Group) { g.EndsAt = &past })
	later := past.Add(time.Minute)
	second := create(t, s, func(g *group.Group) { g.EndsAt = &later })
	third := create(t, s, func(g *group.Group) { g.EndsAt = &future })
	due := func(what string, limit int, want ...string) {
		t.Helper()
		got, err := s.Due(ctx, limit)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q are due, want %q", what, got, want)
		}
	}
	postpone := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			if err := s.Postpone(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	schedule := func(id string, at time.Time) {
		t.Helper()
		_, err := s.Change(ctx, id, "", func(tx group.Tx) error { return tx.Schedule(ctx, &at) })
		if err != nil {
			t.Fatal(err)
		}
	}
	due("at first", 10, first.ID, second.ID)
	due("the longest due", 1, first.ID)
	postpone(third.ID, "nobody's", "not\x00text")
	schedule(first.ID, past)
	schedule(third.ID, later)
	postpone(second.ID)
	due("what was not due is not postponed", 10, first.ID, third.ID)
	schedule(third.ID, future)
	postpone(first.ID)
	due("postponed", 10)
	schedule(second.ID, past)
	due("scheduled anew", 10, second.ID)
	waittest.Until(t, "a postponed timer is due again", func() bool {
		got, err := s.Due(ctx, 10)
		return err == nil && slices.Contains(got, first.ID)
	})
	schedule(first.ID, future)
	due("in the future", 10, second.ID)
}
