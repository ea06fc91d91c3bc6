package grouptest

import (
	"encoding/json"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// testUnread checks that deleted messages do not count as unread.
func testUnread(t *testing.T, s Store) {
	ctx := t.Context()
	g := create(t, s)
	is := func(what, userID string, want int64) {
		t.Helper()
		mine, err := s.UserGroups(ctx, userID, "", 10)
		if err != nil || len(mine) != 1 {
			t.Fatalf("%s: %d groups of %s, %v", what, len(mine), userID, err)
		}
		if got := mine[0].Unread; got != want {
			t.Errorf("%s: %d unread of %s, want %d", what, got, userID, want)
		}
	}
	remove := func(version int64) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) error {
			if _, err := tx.Append(ctx, group.MessageDeleted, "alice", map[string]int64{"version": version}); err != nil {
				return err
			}
			if err := tx.Uncount(ctx, version); err != nil {
				return err
			}
			return tx.SetData(ctx, version, json.RawMessage(`{"data":null}`))
		})
	}
	mark := func(userID string, version int64) {
		t.Helper()
		if _, err := s.MarkRead(ctx, g.ID, userID, version); err != nil {
			t.Fatal(err)
		}
	}
	change(t, s, g.ID, join(ctx, "bob")) // version 2
	for n := range 5 {                   // versions 3 to 7
		change(t, s, g.ID, post(ctx, n))
	}
	is("five messages", "bob", 5)
	mark("bob", 4)
	is("two of them read", "bob", 3)
	remove(6) // version 8
	is("the deletion of a message that is not read", "bob", 2)
	is("the deletion of a message that is not read", "alice", 4)
	remove(3) // version 9
	is("the deletion of a message that is read", "bob", 2)
	is("the deletion of a message that is not read", "alice", 3)
	mark("bob", 6)
	is("up to a deleted message", "bob", 1)
	mark("bob", 9)
	is("all", "bob", 0)
	change(t, s, g.ID, join(ctx, "carol")) // version 10
	is("a member who comes after the deletions", "carol", 0)
	change(t, s, g.ID, post(ctx, 11))
	is("the next message", "carol", 1)
	is("the next message", "bob", 1)
	remove(11) // version 12
	is("without it", "carol", 0)
	is("without it", "bob", 0)

	sweep(t, s, upkeep.Retention{Count: 6}) // keeps versions 7 to 12
	mark("alice", 2)
	is("a mark before the log: the messages that are left, without the deleted ones", "alice", 1)
	mark("alice", 12)
	is("all", "alice", 0)
}

// testReadVersions checks how far each member has read, if the group shows that.
func testReadVersions(t *testing.T, s Store) {
	ctx := t.Context()
	g := create(t, s, func(g *group.Group) { g.ReadReceipts = true })
	if g, _ := get(t, s, g.ID, ""); !g.ReadReceipts {
		t.Error("the group does not keep readReceipts")
	}
	change(t, s, g.ID, join(ctx, "bob"))
	change(t, s, g.ID, post(ctx, 1))
	for _, c := range []struct {
		version int64
		moved   bool
	}{{3, true}, {3, false}, {2, false}} {
		if moved, err := s.MarkRead(ctx, g.ID, "bob", c.version); err != nil || moved != c.moved {
			t.Errorf("mark %d: moved %t, %v; want %t", c.version, moved, err, c.moved)
		}
	}
	if moved, err := s.MarkRead(ctx, g.ID, "nobody", 3); err != nil || moved {
		t.Errorf("the mark of a user who is no member: moved %t, %v", moved, err)
	}
	listed := func() (read []int64) {
		t.Helper()
		members, _, err := s.Members(ctx, g.ID, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if m.ReadVersion != nil {
				read = append(read, *m.ReadVersion)
			}
		}
		return read
	}
	same(t, "read versions", listed(), []int64{0, 3})
	change(t, s, g.ID, func(tx group.Tx) error {
		g := tx.Group()
		g.ReadReceipts = false
		if err := tx.SetGroup(ctx, g); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.GroupUpdated, "alice", map[string]bool{"readReceipts": false})
		return err
	})
	same(t, "read versions of a group that does not show them", listed(), []int64(nil))
}
