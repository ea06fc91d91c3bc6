package grouptest

import (
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// sweep trims until there is no more to do.
func sweep(t *testing.T, s Store, keep upkeep.Retention) {
	t.Helper()
	for rounds := 0; ; rounds++ {
		more, err := s.Trim(t.Context(), keep, 1)
		if err != nil || rounds > 30 {
			t.Fatalf("%v, round %d: %v", keep, rounds, err)
		}
		if !more {
			return
		}
	}
}

func testTrim(t *testing.T, s Store) {
	ctx := t.Context()
	long, short, deleted := create(t, s), create(t, s), create(t, s)
	for n := range 49 {
		change(t, s, long.ID, post(ctx, n)) // up to version 50
	}
	change(t, s, deleted.ID, func(tx group.Tx) error {
		if err := tx.Delete(ctx); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
		return err
	})
	for _, c := range []struct {
		name  string
		keep  upkeep.Retention
		first int64 // of the long log, afterwards
	}{
		{"too young", upkeep.Retention{Count: 10, Age: time.Hour}, 1},
		{"too few", upkeep.Retention{Count: 50}, 1},
		{"beyond both", upkeep.Retention{Count: 10}, 41},
		{"again", upkeep.Retention{Count: 10}, 41},
		{"nothing but the head", upkeep.Retention{Count: 1}, 50},
	} {
		sweep(t, s, c.keep)
		if page := read(t, s, long.ID, 0, 100); page.First != c.first || page.Group.Version != 50 {
			t.Errorf("%s: the log holds %d to %d, want from %d to 50", c.name, page.First, page.Group.Version, c.first)
		}
		if page := read(t, s, short.ID, 0, 100); page.First != 1 || len(page.Events) != 1 {
			t.Errorf("%s: the other log holds %d events from %d", c.name, len(page.Events), page.First)
		}
		if page := read(t, s, deleted.ID, 0, 100); !page.Deleted {
			t.Errorf("%s: a group deleted just now is not known as deleted", c.name)
		}
	}
	withoutHoles(t, change(t, s, long.ID, post(ctx, 50)), 50)
}
