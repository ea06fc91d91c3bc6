package grouptest

import (
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// testExpire removes, in several steps, everything that expired more than a day ago.
func testExpire(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	one, old, recent := 1, time.Now().Add(-group.OverAge-time.Hour), time.Now().Add(-group.OverAge+time.Hour)
	add := func(hash string, i group.Invite) string {
		t.Helper()
		i.InviteID, i.CreatedBy, i.CreatedAt = newID(), "alice", at
		change(t, s, g.ID, func(tx group.Tx) error { return tx.AddInvite(ctx, i, hash) })
		return i.InviteID
	}
	ban := func(userID string, expires *time.Time) {
		t.Helper()
		b := group.Ban{UserID: userID, ExpiresAt: expires, Actor: "alice", At: at}
		change(t, s, g.ID, func(tx group.Tx) error { return tx.SetBan(ctx, b) })
	}
	for _, hash := range []string{"old 1", "old 2", "old 3"} {
		add(hash, group.Invite{ExpiresAt: &old})
	}
	kept := []string{
		add("recent", group.Invite{ExpiresAt: &recent}),
		add("never", group.Invite{}),
		add("unused", group.Invite{MaxUses: &one}),
		add("used up just now", group.Invite{MaxUses: &one}),
	}
	change(t, s, g.ID, func(tx group.Tx) error { return tx.UseInvite(ctx, kept[3]) })
	invitation := func(userID string, expires time.Time) {
		t.Helper()
		i := group.Invitation{UserID: userID, InvitedBy: "alice", At: at, ExpiresAt: expires}
		change(t, s, g.ID, func(tx group.Tx) error { return tx.SetInvitations(ctx, []group.Invitation{i}) })
	}
	invitation("old", old)
	invitation("recent", recent)
	ban("old 1", &old)
	ban("old 2", &old)
	ban("recent", &recent)
	ban("never", nil)

	var removed []int
	for range 4 {
		n, err := s.Expire(ctx, 2)
		if err != nil {
			t.Fatal(err)
		}
		removed = append(removed, n)
	}
	same(t, "removed at a time", removed, []int{2, 2, 2, 0})
	invites, err := s.Invites(ctx, g.ID, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	left := []string{}
	for _, i := range invites {
		left = append([]string{i.InviteID}, left...) // the newest invite comes first
	}
	same(t, "invites", left, kept)
	bans, err := s.Bans(ctx, g.ID, "", time.Time{}, 10) // as of a time when none had expired
	if err != nil {
		t.Fatal(err)
	}
	left = left[:0]
	for _, b := range bans {
		left = append(left, b.UserID)
	}
	same(t, "bans", left, []string{"never", "recent"})
	for userID, want := range map[string]int{"old": 0, "recent": 1} {
		invitations, err := s.UserInvitations(ctx, userID, "", time.Time{}, 10)
		if err != nil || len(invitations) != want {
			t.Errorf("%d %s invitations, %v; want %d", len(invitations), userID, err, want)
		}
	}
}

// testRemoveOver removes expired and used-up invites of a group at once, to make room for
// new ones.
func testRemoveOver(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	one, two, soon, later := 1, 2, at.Add(time.Minute), at.Add(time.Hour)
	add := func(groupID, hash string, i group.Invite) string {
		t.Helper()
		i.InviteID, i.CreatedBy, i.CreatedAt = newID(), "alice", at
		change(t, s, groupID, func(tx group.Tx) error { return tx.AddInvite(ctx, i, hash) })
		return i.InviteID
	}
	count := func(groupID string) (n int) {
		t.Helper()
		change(t, s, groupID, func(tx group.Tx) (err error) {
			n, err = tx.CountInvites(ctx)
			return err
		})
		return n
	}
	same(t, "none", count(g.ID), 0)
	add(other.ID, "elsewhere", group.Invite{ExpiresAt: &soon})
	add(g.ID, "never", group.Invite{})
	add(g.ID, "soon", group.Invite{ExpiresAt: &soon})
	add(g.ID, "later", group.Invite{ExpiresAt: &later})
	for hash, uses := range map[string]*int{"used up": &one, "half used": &two} {
		id := add(g.ID, hash, group.Invite{MaxUses: uses})
		change(t, s, g.ID, func(tx group.Tx) error { return tx.UseInvite(ctx, id) })
	}
	same(t, "all", count(g.ID), 5)
	remove := func(now time.Time) (n int) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) (err error) {
			n, err = tx.RemoveOver(ctx, now)
			return err
		})
		return n
	}
	same(t, "the one that is used up", remove(soon.Add(-time.Microsecond)), 1)
	same(t, "the one that has expired", remove(soon), 1)
	same(t, "nothing", remove(soon), 0)
	same(t, "left", count(g.ID), 3)
	same(t, "left elsewhere", count(other.ID), 1)
}
