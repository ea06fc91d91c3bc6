package grouptest

import (
	"errors"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testMutes(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	change(t, s, g.ID, join(ctx, "bob"))
	change(t, s, other.ID, join(ctx, "bob"))
	soon := at.Add(time.Minute)
	set := func(userID string, expires *time.Time) group.Mute {
		t.Helper()
		m := group.Mute{UserID: userID, ExpiresAt: expires, Actor: "alice", At: at}
		change(t, s, g.ID, func(tx group.Tx) error { return tx.SetMute(ctx, m) })
		return m
	}
	get := func(userID string, want *group.Mute) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) error {
			got, err := tx.Mute(ctx, userID)
			same(t, "the mute of "+userID, got, want)
			return err
		})
	}
	get("bob", nil)
	everywhere(t, s, g.ID, member("bob"))
	m := set("bob", nil)
	get("bob", &m)
	bob := member("bob")
	bob.Muted = true
	everywhere(t, s, g.ID, bob)
	everywhere(t, s, other.ID, member("bob"))
	m = set("bob", &soon)
	get("bob", &m)
	bob.MutedUntil = &soon
	everywhere(t, s, g.ID, bob)

	// A mute is kept while the user is not a member.
	change(t, s, g.ID, func(tx group.Tx) error {
		_, err := tx.Append(ctx, group.MemberLeft, "bob", struct{}{})
		return errors.Join(err, tx.RemoveMember(ctx, "bob"))
	})
	get("bob", &m)
	change(t, s, g.ID, func(tx group.Tx) error {
		found, err := tx.Outsiders(ctx, "bob", "eve")
		same(t, "outsiders", found, map[string]group.Outsider{"bob": {Mute: &m}})
		return errors.Join(err, join(ctx, "bob")(tx))
	})
	everywhere(t, s, g.ID, bob)

	set("nobody", nil)
	for most, want := range map[int]int{1: 1, 2: 2, 3: 2} {
		change(t, s, g.ID, func(tx group.Tx) error {
			n, err := tx.CountMutes(ctx, most)
			same(t, "mutes", n, want)
			return err
		})
	}
	for range 2 {
		change(t, s, g.ID, func(tx group.Tx) error { return tx.RemoveMute(ctx, "bob") })
	}
	get("bob", nil)
	everywhere(t, s, g.ID, member("bob"))
	get("a\x00b", nil)

	last := group.Mute{UserID: "nobody", Actor: "alice", At: at}
	list := func(now time.Time) []group.Mute {
		t.Helper()
		mutes, err := s.Mutes(ctx, g.ID, "", now, 10)
		if err != nil {
			t.Fatal(err)
		}
		return mutes
	}
	cy := set("cy", &soon)
	same(t, "mutes", list(at), []group.Mute{cy, last})
	same(t, "one has expired", list(soon), []group.Mute{last})
	same(t, "from page to page", walk(t, 1, func(after string) ([]group.Mute, error) {
		return s.Mutes(ctx, g.ID, after, at, 1)
	}, func(m group.Mute) string { return m.UserID }), []string{"cy", "nobody"})
	mutes, err := s.Mutes(ctx, other.ID, "", at, 10)
	same(t, "mutes of another group", mutes, []group.Mute{})
	if err != nil {
		t.Error(err)
	}
	_, err = s.Mutes(ctx, newID(), "", at, 10)
	isNotFound(t, "mutes of an unknown group", err)
	change(t, s, g.ID, func(tx group.Tx) error { return tx.RemoveMute(ctx, "cy") })

	long, lately := time.Now().Add(-group.OverAge-time.Minute), time.Now().Add(-group.OverAge+time.Minute)
	set("long ago", &long)
	set("lately", &lately)
	if n, err := s.Expire(ctx, 10); n != 1 || err != nil {
		t.Errorf("%d expired, %v; want 1", n, err)
	}
	get("long ago", nil)
}

// everywhere checks that every way to read the member returns want.
func everywhere(t *testing.T, s Store, groupID string, want group.Member) {
	t.Helper()
	ctx, id := t.Context(), want.UserID
	_, one := get(t, s, groupID, id)
	same(t, "with the group", one, &want)
	members, _, err := s.Members(ctx, groupID, "alice", 10)
	same(t, "in the list", members, []group.ListedMember{{Member: want}})
	same(t, "with the log", read(t, s, groupID, 0, 0, id).Members[id], want)
	same(t, "with the log, of many", read(t, s, groupID, 0, 0, id, "alice").Members[id], want)
	for _, users := range [][]string{{id}, {id, "alice"}} {
		st, failed := s.Memberships(ctx, groupID, users)
		same(t, "alone", st.Members[id], want)
		err = errors.Join(err, failed)
	}
	for _, caller := range []string{id, ""} {
		_, failed := s.Change(ctx, groupID, caller, func(tx group.Tx) error {
			got, err := tx.Member(ctx, id)
			same(t, "in a change", got, &want)
			return err
		})
		err = errors.Join(err, failed)
	}
	change(t, s, groupID, func(tx group.Tx) error {
		_, err := tx.Outsiders(ctx, id)
		got, failed := tx.Member(ctx, id)
		same(t, "after the outsiders", got, &want)
		return errors.Join(err, failed)
	})
	if err != nil {
		t.Error(err)
	}
}
