package grouptest

import (
	"errors"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

var errRefused = errors.New("refused")

// testCreations checks that a group counts for its owner, even if another user created it.
func testCreations(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	tallies := func() map[string]group.Tally {
		t.Helper()
		var found map[string]group.Tally
		change(t, s, g.ID, func(tx group.Tx) (err error) {
			found, err = tx.Tally(ctx, "alice", "bob", "carol")
			return err
		})
		return found
	}
	give := func(groupID, to string) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) error {
			if err := tx.SetOwner(ctx, to, at); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.OwnerTransferred, "alice", struct{}{})
			return err
		})
	}
	leave := func(groupID, userID string) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) error {
			if err := tx.RemoveMember(ctx, userID); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.MemberLeft, userID, struct{}{})
			return err
		})
	}
	same(t, "before", tallies(), map[string]group.Tally{"alice": {Owned: 1, Joined: 1}})
	hers, _, err := s.Create(ctx, "alice", fixture(), owner(), func(group.Tally) error { return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{"bob", "carol"} {
		change(t, s, hers.ID, join(ctx, u))
		change(t, s, g.ID, join(ctx, u))
	}
	same(t, "owned by who created it", tallies(), map[string]group.Tally{"alice": {Owned: 2, Joined: 2}, "bob": {Joined: 2}, "carol": {Joined: 2}})
	give(g.ID, "bob")
	same(t, "nobody's creation given away", tallies(), map[string]group.Tally{"alice": {Owned: 1, Joined: 2}, "bob": {Owned: 1, Joined: 2}, "carol": {Joined: 2}})
	give(hers.ID, "bob")
	same(t, "given away", tallies(), map[string]group.Tally{"alice": {Owned: 1, Joined: 2}, "bob": {Owned: 2, Joined: 2}, "carol": {Joined: 2}})
	give(hers.ID, "carol")
	leave(hers.ID, "alice")
	leave(g.ID, "alice")
	same(t, "given away twice, and left", tallies(), map[string]group.Tally{"alice": {Owned: 1}, "bob": {Owned: 1, Joined: 2}, "carol": {Owned: 1, Joined: 2}})
	_, _, err = s.Create(ctx, "alice", fixture(), owner(), func(n group.Tally) error {
		same(t, "of who makes another one", n, group.Tally{Owned: 1})
		return errRefused
	}, nil)
	if err != errRefused { //nolint:errorlint // the contract requires this error, unwrapped
		t.Errorf("create: %v", err)
	}
	change(t, s, hers.ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	same(t, "deleted by its owner", tallies(), map[string]group.Tally{"bob": {Owned: 1, Joined: 1}, "carol": {Joined: 1}})
}
