package grouptest

import (
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// testMarks checks that unread messages are counted without reading the log.
func testMarks(t *testing.T, s Store) {
	ctx := t.Context()
	g := create(t, s)
	is := func(what, userID string, version, unread int64) {
		t.Helper()
		mine, err := s.UserGroups(ctx, userID, "", 10)
		if err != nil || len(mine) != 1 {
			t.Fatalf("%s: %d groups of %s, %v", what, len(mine), userID, err)
		}
		if m := mine[0]; m.ReadVersion != version || m.Unread != unread {
			t.Errorf("%s: %s has read up to %d, %d unread; want %d, %d", what, userID, m.ReadVersion, m.Unread, version, unread)
		}
	}
	mark := func(userID string, version int64) {
		t.Helper()
		if _, err := s.MarkRead(ctx, g.ID, userID, version); err != nil {
			t.Errorf("mark %d: %v", version, err)
		}
	}
	is("a new group", "alice", 0, 0)
	change(t, s, g.ID, post(ctx, 2))
	change(t, s, g.ID, post(ctx, 3))
	is("two messages", "alice", 0, 2)
	change(t, s, g.ID, join(ctx, "bob")) // version 4
	is("who comes later", "bob", 3, 0)
	change(t, s, g.ID, func(tx group.Tx) error { // versions 5 to 7, and version 8 by carol
		for n := range 3 {
			if err := post(ctx, n)(tx); err != nil {
				return err
			}
		}
		tx.MarkRead("dave")
		return join(ctx, "carol")(tx)
	})
	is("three more", "bob", 3, 3)
	is("who comes with messages", "carol", 7, 0)
	mark("bob", 6)
	is("all but one read", "bob", 6, 1)
	mark("bob", 4)
	is("marks stay", "bob", 6, 1)
	mark("bob", 8)
	is("all read", "bob", 8, 0)
	mark("nobody", 8)
	mark("a\x00b", 8)
	change(t, s, g.ID, func(tx group.Tx) error {
		tx.MarkRead("bob")
		return post(ctx, 9)(tx)
	})
	is("his own message", "bob", 9, 0)
	is("somebody else's", "carol", 7, 1)
	change(t, s, g.ID, func(tx group.Tx) error {
		tx.MarkRead("carol")
		if err := post(ctx, 10)(tx); err != nil {
			return err
		}
		return post(ctx, 11)(tx)
	})
	is("two of her own", "carol", 11, 0)
	is("six from the others since", "alice", 0, 8)

	if _, err := s.Trim(ctx, upkeep.Retention{Count: 3}, 10); err != nil {
		t.Fatal(err)
	}
	if page := read(t, s, g.ID, 0, 10); page.First != 9 {
		t.Fatalf("the log begins at %d", page.First)
	}
	mark("alice", 5)
	is("a mark before the log: what was trimmed counts as read", "alice", 5, 3)
	mark("alice", 9)
	is("a mark at the start of the log", "alice", 9, 2)
}
