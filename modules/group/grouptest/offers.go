package grouptest

import (
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testOffers(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	for _, u := range []string{"bob", "carol"} {
		change(t, s, g.ID, join(ctx, u))
	}
	before, _ := get(t, s, g.ID, "")
	offered := func(groupID string) (to string) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) error {
			to = tx.Offered()
			return nil
		})
		return to
	}
	offer := func(to string) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) error {
			err := tx.SetOffered(ctx, to)
			same(t, "offered within the change", tx.Offered(), to)
			return err
		})
	}
	same(t, "offered to nobody", offered(g.ID), "")
	for _, to := range []string{"bob", "carol", "carol", "", "bob"} {
		offer(to)
		same(t, "offered", offered(g.ID), to)
	}
	same(t, "another group", offered(other.ID), "")
	after, _ := get(t, s, g.ID, "")
	same(t, "the group", after, before)
	if _, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error { return tx.SetOffered(ctx, "a\x00b") }); err == nil {
		t.Error("the group was offered to a user id that is not valid text")
	}

	remove := func(userID string) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) error {
			if err := tx.RemoveMember(ctx, userID); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.MemberLeft, userID, struct{}{})
			return err
		})
	}
	remove("carol")
	same(t, "after another one left", offered(g.ID), "bob")
	remove("bob")
	same(t, "after they left", offered(g.ID), "")

	for _, u := range []string{"bob", "carol"} {
		change(t, s, g.ID, join(ctx, u))
	}
	offer("bob")
	change(t, s, g.ID, func(tx group.Tx) error {
		if err := tx.SetOwner(ctx, "carol", at.Add(time.Minute)); err != nil {
			return err
		}
		same(t, "offered when the owner changed", tx.Offered(), "")
		_, err := tx.Append(ctx, group.OwnerTransferred, "alice", struct{}{})
		return err
	})
	same(t, "after the owner changed", offered(g.ID), "")
}
