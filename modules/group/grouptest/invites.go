package grouptest

import (
	"slices"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testInvites(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	three, soon := 3, at.Add(time.Minute)
	add := func(i group.Invite, hash string) group.Invite {
		t.Helper()
		i.InviteID, i.CreatedBy, i.CreatedAt = newID(), "alice", at
		change(t, s, g.ID, func(tx group.Tx) error { return tx.AddInvite(ctx, i, hash) })
		return i
	}
	list := func(groupID string) []group.Invite {
		t.Helper()
		invites, err := s.Invites(ctx, groupID, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return invites
	}
	find := func(groupID, hash string) (found *group.Invite) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) (err error) {
			found, err = tx.Invite(ctx, hash)
			return err
		})
		return found
	}
	same(t, "no invites", list(g.ID), []group.Invite{})
	first := add(group.Invite{}, "h1")
	second := add(group.Invite{MaxUses: &three, ExpiresAt: &soon}, "h2")
	same(t, "two invites", list(g.ID), []group.Invite{second, first})
	same(t, "none elsewhere", list(other.ID), []group.Invite{})
	change(t, s, other.ID, func(tx group.Tx) error {
		for _, userID := range []string{"alice", "a\x00b"} {
			if ids, err := tx.RemoveInvitesOf(ctx, userID); err != nil || len(ids) > 0 {
				t.Errorf("removed the invites %v of %q elsewhere: %v", ids, userID, err)
			}
		}
		return nil
	})
	same(t, "two invites still", list(g.ID), []group.Invite{second, first})
	same(t, "by its code", find(g.ID, "h2"), &second)
	if i := find(other.ID, "h2"); i != nil {
		t.Errorf("another group's invite: %+v", i)
	}
	if id, err := s.InvitedTo(ctx, "h2"); id != g.ID || err != nil {
		t.Errorf("invited to %s, %v", id, err)
	}
	_, err := s.InvitedTo(ctx, "h3")
	isNotFound(t, "an unknown code", err)
	if _, err := s.Change(ctx, other.ID, "", func(tx group.Tx) error { return tx.AddInvite(ctx, group.Invite{InviteID: newID()}, "h1") }); err == nil {
		t.Error("two groups have the same code")
	}

	change(t, s, g.ID, func(tx group.Tx) error { return tx.UseInvite(ctx, second.InviteID) })
	second.Uses = 1
	same(t, "used once", find(g.ID, "h2"), &second)
	if _, err := s.Change(ctx, other.ID, "", func(tx group.Tx) error { return tx.UseInvite(ctx, second.InviteID) }); err == nil {
		t.Error("another group's invite was used")
	}
	remove := func(groupID, inviteID string) (removed bool) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) (err error) {
			removed, err = tx.RemoveInvite(ctx, inviteID)
			return err
		})
		return removed
	}
	same(t, "removed by another group", remove(other.ID, second.InviteID), false)
	same(t, "removed", remove(g.ID, second.InviteID), true)
	same(t, "removed again", remove(g.ID, second.InviteID), false)
	same(t, "no text", remove(g.ID, "a\x00b"), false)
	_, err = s.InvitedTo(ctx, "h2")
	isNotFound(t, "a removed invite", err)

	want := []string{first.InviteID}
	for _, hash := range []string{"a", "b", "c", "d"} {
		want = append(want, add(group.Invite{}, hash).InviteID)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 5, 100} {
		got := walk(t, limit, func(before string) ([]group.Invite, error) {
			return s.Invites(ctx, g.ID, before, limit)
		}, func(i group.Invite) string { return i.InviteID })
		same(t, "invites", got, want)
	}
	_, err = s.Invites(ctx, newID(), "", 10)
	isNotFound(t, "invites of an unknown group", err)
	change(t, s, g.ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	_, err = s.Invites(ctx, g.ID, "", 10)
	isNotFound(t, "invites of a deleted group", err)
	_, err = s.InvitedTo(ctx, "h1")
	isNotFound(t, "a code for a deleted group", err)
}
