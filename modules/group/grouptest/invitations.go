package grouptest

import (
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testInvitations(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s, func(g *group.Group) { g.Name = "모임 <b>" }), create(t, s)
	later := at.Add(time.Hour)
	invite := func(groupID, userID, by string, until time.Time) group.Invitation {
		t.Helper()
		i := group.Invitation{UserID: userID, InvitedBy: by, At: at, ExpiresAt: until}
		change(t, s, groupID, func(tx group.Tx) error { return tx.SetInvitations(ctx, []group.Invitation{i}) })
		return i
	}
	list := func(userID string, now time.Time) []group.ReceivedInvitation {
		t.Helper()
		invitations, err := s.UserInvitations(ctx, userID, "", now, 100)
		if err != nil {
			t.Fatal(err)
		}
		return invitations
	}
	seen := func(g group.Group, i group.Invitation) group.ReceivedInvitation {
		return group.ReceivedInvitation{GroupID: g.ID, GroupName: g.Name, InvitedBy: i.InvitedBy, At: i.At, ExpiresAt: i.ExpiresAt}
	}
	count := func(now time.Time) (n int) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) (err error) {
			n, err = tx.CountInvitations(ctx, now)
			return err
		})
		return n
	}
	same(t, "none", list("bob", at), []group.ReceivedInvitation{})
	invite(g.ID, "bob", "alice", at.Add(time.Minute))
	second := invite(g.ID, "bob", "carol", later) // replaces the first invitation
	elsewhere := invite(other.ID, "bob", "alice", later)
	eve := invite(g.ID, "eve", "alice", at.Add(time.Minute))
	same(t, "of bob, newest group first", list("bob", at), []group.ReceivedInvitation{seen(other, elsewhere), seen(g, second)})
	same(t, "of eve", list("eve", at), []group.ReceivedInvitation{seen(g, eve)})
	same(t, "of eve, when it has expired", list("eve", eve.ExpiresAt), []group.ReceivedInvitation{})
	same(t, "count", []int{count(at), count(eve.ExpiresAt), count(later)}, []int{2, 1, 0})
	change(t, s, g.ID, func(tx group.Tx) error {
		found, err := tx.Outsiders(ctx, "eve", "nobody", "bob")
		same(t, "outsiders", found, map[string]group.Outsider{"bob": {Invitation: &second}, "eve": {Invitation: &eve}})
		if err != nil {
			return err
		}
		if err := tx.RemoveInvitation(ctx, "eve"); err != nil {
			return err
		}
		found, err = tx.Outsiders(ctx, "eve", "bob")
		same(t, "after one was removed", found, map[string]group.Outsider{"bob": {Invitation: &second}})
		return err
	})
	for _, userID := range []string{"eve", "a\x00b"} {
		change(t, s, g.ID, func(tx group.Tx) error { return tx.RemoveInvitation(ctx, userID) })
	}
	if _, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error {
		return tx.SetInvitations(ctx, []group.Invitation{{UserID: "a\x00b"}})
	}); err == nil {
		t.Error("a user id that is not valid text was invited")
	}
	same(t, "of what is no text", list("a\x00b", at), []group.ReceivedInvitation{})

	many := make([]group.Invitation, 123)
	for i := range many {
		many[i] = group.Invitation{UserID: user(i), InvitedBy: "alice", At: at, ExpiresAt: later}
	}
	change(t, s, g.ID, func(tx group.Tx) error { return tx.SetInvitations(ctx, many) })
	same(t, "of many", []int{count(at), len(list(user(0), at)), len(list(user(122), at))}, []int{124, 1, 1})

	want := []string{}
	for range 5 {
		id := create(t, s).ID
		invite(id, "fay", "alice", later)
		want = append([]string{id}, want...)
	}
	for _, limit := range []int{1, 2, 5, 100} {
		got := walk(t, limit, func(before string) ([]group.ReceivedInvitation, error) {
			return s.UserInvitations(ctx, "fay", before, at, limit)
		}, func(i group.ReceivedInvitation) string { return i.GroupID })
		same(t, "invitations", got, want)
	}
	change(t, s, want[0], func(tx group.Tx) error { return tx.Delete(ctx) })
	change(t, s, want[1], func(tx group.Tx) error {
		n := tx.Group()
		n.EndedAt = &later
		if err := tx.SetGroup(ctx, n); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.GroupEnded, "", struct{}{})
		return err
	})
	same(t, "without the deleted and the ended group", len(list("fay", at)), 3)
}

func testDeparted(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	left := func(groupID string, users ...string) (found map[string]bool) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) (err error) {
			found, err = tx.Departed(ctx, users...)
			return err
		})
		return found
	}
	same(t, "nobody", left(g.ID, "bob", "eve"), map[string]bool{})
	for _, u := range []string{"bob", "bob", "eve"} {
		change(t, s, g.ID, func(tx group.Tx) error { return tx.SetDeparted(ctx, u) })
	}
	same(t, "two", left(g.ID, "carol", "eve", "bob", "eve"), map[string]bool{"bob": true, "eve": true})
	same(t, "one", left(g.ID, "bob"), map[string]bool{"bob": true})
	same(t, "another one", left(g.ID, "carol"), map[string]bool{})
	same(t, "no text", left(g.ID, "a\x00b"), map[string]bool{})
	same(t, "another group", left(other.ID, "bob", "eve"), map[string]bool{})
	change(t, s, g.ID, join(ctx, "bob"))
	same(t, "one who came back", left(g.ID, "bob"), map[string]bool{"bob": true})
}
