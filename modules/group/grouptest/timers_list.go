package grouptest

import (
	"slices"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// testListTimers lists timers by their next time. It includes timers with the same time,
// and excludes deleted groups and groups without timers.
func testListTimers(t *testing.T, s Store) {
	ctx := t.Context()
	var ids []string
	for _, hours := range []int{3, 1, 2, 2, 0, 4} {
		ids = append(ids, create(t, s, func(g *group.Group) {
			if hours > 0 {
				ends := at.Add(time.Duration(hours) * time.Hour)
				g.EndsAt = &ends
			}
		}).ID)
	}
	change(t, s, ids[5], func(tx group.Tx) error {
		if err := tx.Delete(ctx); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
		return err
	})
	for _, limit := range []int{1, 2, 100} {
		got := []int{}
		for after := ""; ; {
			page, err := s.Timers(ctx, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, timer := range page {
				got, after = append(got, slices.Index(ids, timer.GroupID)), timer.Place()
				if timer.EndsAt == nil || !timer.NextAt.Equal(*timer.EndsAt) || timer.Name == "" || timer.Failures != 0 {
					t.Errorf("a timer is %+v", timer)
				}
			}
			if len(page) < limit {
				break
			}
		}
		if want := []int{1, 2, 3, 0}; !slices.Equal(got, want) {
			t.Errorf("%d at a time: timers of %v, want %v", limit, got, want)
		}
	}
	if _, err := s.Timers(ctx, "no place", 1); err == nil {
		t.Error("a damaged place is accepted")
	}
}
