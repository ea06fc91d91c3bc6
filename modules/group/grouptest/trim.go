package grouptest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// sweep trims until nothing is left to trim.
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
		first int64 // first version of the long log afterwards
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
			t.Errorf("%s: a group that was just deleted is not marked as deleted", c.name)
		}
	}
	withoutHoles(t, change(t, s, long.ID, post(ctx, 50)), 50)
}

// testTrimBytes fills a log with large events. The oldest events must be removed, even if
// they are few and new, but only until the log fits.
func testTrimBytes(t *testing.T, s Store) {
	ctx := t.Context()
	large, small, deleted := create(t, s), create(t, s), create(t, s)
	const size, bound = 10_000, 200_000
	postLarge := func(tx group.Tx) error {
		_, err := tx.Append(ctx, group.MessagePosted, "alice", strings.Repeat("x", size))
		return err
	}
	fill := func(groupID string, n int, fn func(group.Tx) error) {
		t.Helper()
		for range n {
			change(t, s, groupID, fn)
		}
	}
	fill(large.ID, 39, postLarge)
	fill(small.ID, 39, post(ctx, 1))
	fill(deleted.ID, 39, postLarge)
	change(t, s, deleted.ID, func(tx group.Tx) error {
		_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
		return errors.Join(tx.Delete(ctx), err)
	})
	kept := func(groupID string, bytes int64) int {
		t.Helper()
		sweep(t, s, upkeep.Retention{Count: 1000, Age: time.Hour, Bytes: bytes})
		next := read(t, s, groupID, 0, 0).First
		for n := 0; ; {
			page := read(t, s, groupID, next-1, 10)
			for _, e := range page.Events {
				if e.Version != next {
					t.Fatalf("version %d follows %d", e.Version, next-1)
				}
				n, next = n+1, next+1
			}
			if len(page.Events) < 10 {
				if next != page.Group.Version+1 {
					t.Errorf("the log ends at %d instead of %d", next-1, page.Group.Version)
				}
				return n
			}
		}
	}
	if n := kept(large.ID, 0); n != 40 {
		t.Errorf("without a bound, %d events are left of 40", n)
	}
	fit := bound / size
	for _, what := range []string{"the first time", "after more events", "after more events again"} {
		if n := kept(large.ID, bound); n >= fit || n < fit*3/4 {
			t.Errorf("%s: %d events of %d bytes are left of %d that fit", what, n, size, fit)
		}
		fill(large.ID, 7, postLarge)
	}
	if n := kept(small.ID, bound); n != 40 {
		t.Errorf("%d small events are left of 40", n)
	}
	if n := kept(deleted.ID, bound); n != 41 {
		t.Errorf("%d events of a deleted group are left of 41", n)
	}
	if n := kept(large.ID, 1); n != 1 {
		t.Errorf("with a bound of a byte, %d events are left, want the last one", n)
	}
}
