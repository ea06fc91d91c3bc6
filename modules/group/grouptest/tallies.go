package grouptest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// tallyTime is the maximum time for changes that count the same users. Such changes wait
// for each other, but must not deadlock.
const tallyTime = 30 * time.Second

func testTallies(t *testing.T, s Store) {
	ctx := t.Context()
	tally := func(groupID string, users ...string) (found map[string]group.Tally) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) (err error) {
			found, err = tx.Tally(ctx, users...)
			return err
		})
		return found
	}
	g := create(t, s)
	for range 2 {
		change(t, s, create(t, s).ID, join(ctx, "bob"))
	}
	same(t, "tallies", tally(g.ID, "bob", "nobody", "alice", "bob", "a\x00b"),
		map[string]group.Tally{"alice": {Owned: 3, Joined: 3}, "bob": {Joined: 2}})

	gone := create(t, s)
	change(t, s, gone.ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	last := create(t, s)
	change(t, s, last.ID, join(ctx, "bob"))
	change(t, s, last.ID, func(tx group.Tx) error {
		if err := tx.SetOwner(ctx, "bob", at); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.OwnerTransferred, "alice", struct{}{})
		return err
	})
	same(t, "after a deletion and a transfer", tally(g.ID, "alice", "bob"),
		map[string]group.Tally{"alice": {Owned: 3, Joined: 4}, "bob": {Owned: 1, Joined: 3}})

	refused := errors.New("refused")
	_, _, err := s.Create(ctx, "alice", fixture(), owner(), func(n group.Tally) error {
		same(t, "the owner's tally", n, group.Tally{Owned: 3, Joined: 4})
		return refused
	}, nil)
	if err != refused { //nolint:errorlint // the contract requires this error, unwrapped
		t.Errorf("create: %v, want admit's own error", err)
	}
	if mine, err := s.UserGroups(ctx, "alice", "", 10); len(mine) != 4 || err != nil {
		t.Errorf("alice is in %d groups, %v; want 4", len(mine), err)
	}

	// Concurrent changes of many groups count many users, each in a different order.
	const groups, users, limit = 12, 6, 4
	start := time.Now()
	var all sync.WaitGroup
	for i := range groups {
		id := create(t, s).ID
		names := make([]string, users)
		for j := range names {
			names[j] = user((i*5 + j*7 + i*j) % users)
		}
		all.Go(func() {
			_, err := s.Change(ctx, id, "", func(tx group.Tx) error {
				found, err := tx.Tally(ctx, names...)
				if err != nil {
					return err
				}
				for _, n := range names {
					if m, err := tx.Member(ctx, n); err != nil || m != nil {
						continue
					}
					if found[n].Joined < limit {
						if err := join(ctx, n)(tx); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took > tallyTime {
		t.Errorf("the changes took %s", took)
	}
	for who, n := range tally(g.ID, user(0), user(1), user(2), user(3), user(4), user(5)) {
		if n.Joined != limit {
			t.Errorf("%s is in %d groups, want %d", who, n.Joined, limit)
		}
	}
}
