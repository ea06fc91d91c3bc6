package grouptest

import (
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testBans(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	soon := at.Add(time.Minute)
	ban := func(userID, reason string, expires *time.Time) group.Ban {
		t.Helper()
		b := group.Ban{UserID: userID, Reason: reason, ExpiresAt: expires, Actor: "alice", At: at}
		change(t, s, g.ID, func(tx group.Tx) error { return tx.SetBan(ctx, b) })
		return b
	}
	list := func(now time.Time) []group.Ban {
		t.Helper()
		bans, err := s.Bans(ctx, g.ID, "", now, 100)
		if err != nil {
			t.Fatal(err)
		}
		return bans
	}
	same(t, "nobody is banned", list(at), []group.Ban{})
	bob, eve := ban("bob", "", nil), ban("eve", "모임 <b>", &soon)
	same(t, "two are", list(at), []group.Ban{bob, eve})
	same(t, "one has expired", list(soon), []group.Ban{bob})
	bob = ban("bob", "again", nil)
	same(t, "in place of the ban before", list(soon), []group.Ban{bob})
	change(t, s, g.ID, func(tx group.Tx) error {
		found, err := tx.Outsiders(ctx, "eve", "nobody", "bob", "a\x00b")
		same(t, "outsiders", found, map[string]group.Outsider{"bob": {Ban: &bob}, "eve": {Ban: &eve}})
		return err
	})
	change(t, s, other.ID, func(tx group.Tx) error {
		found, err := tx.Outsiders(ctx, "bob")
		same(t, "outsiders of another group", found, map[string]group.Outsider{})
		return err
	})
	change(t, s, g.ID, func(tx group.Tx) error { return seesItself(t, tx, "bob", bob) })
	for range 2 {
		change(t, s, g.ID, func(tx group.Tx) error { return tx.RemoveBan(ctx, "bob") })
	}
	same(t, "lifted", list(at), []group.Ban{eve})
	if got, _ := get(t, s, g.ID, ""); got.Version != 2 {
		t.Errorf("version %d with one event", got.Version)
	}

	want := []string{"B", "a", "b", "eve", "ä"}
	for _, u := range want {
		ban(u, "", nil)
	}
	for _, limit := range []int{1, 2, 5, 100} {
		got := walk(t, limit, func(after string) ([]group.Ban, error) {
			return s.Bans(ctx, g.ID, after, at, limit)
		}, func(b group.Ban) string { return b.UserID })
		same(t, "bans", got, want)
	}
	_, err := s.Bans(ctx, newID(), "", at, 10)
	isNotFound(t, "bans of an unknown group", err)
	change(t, s, g.ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	_, err = s.Bans(ctx, g.ID, "", at, 10)
	isNotFound(t, "bans of a deleted group", err)
}

// seesItself changes everything that is stored about a user, and reads it after each step.
// A change must see its own writes. The user is banned before the first step and after the
// last.
func seesItself(t *testing.T, tx group.Tx, userID string, ban group.Ban) error {
	t.Helper()
	ctx := t.Context()
	applicant := group.Applicant{UserID: userID, Name: "n", At: at}
	admin := member(userID)
	admin.Role = group.Admin
	for _, step := range []struct {
		name   string
		do     func() error
		member *group.Member
		about  group.Outsider
	}{
		{"at first", func() error { return nil }, nil, group.Outsider{Ban: &ban}},
		{"lifted", func() error { return tx.RemoveBan(ctx, userID) }, nil, group.Outsider{}},
		{"asked", func() error { return tx.SetApplicant(ctx, applicant) }, nil, group.Outsider{Applicant: &applicant}},
		{"forgotten", func() error { return tx.RemoveApplicant(ctx, userID) }, nil, group.Outsider{}},
		{"added", func() error { return tx.AddMember(ctx, member(userID)) }, pointer(member(userID)), group.Outsider{}},
		{"promoted", func() error { return tx.SetMember(ctx, admin) }, &admin, group.Outsider{}},
		{"removed", func() error { return tx.RemoveMember(ctx, userID) }, nil, group.Outsider{}},
		{"banned", func() error { return tx.SetBan(ctx, ban) }, nil, group.Outsider{Ban: &ban}},
	} {
		if err := step.do(); err != nil {
			return err
		}
		for range 2 {
			found, err := tx.Outsiders(ctx, userID, "nobody")
			if err != nil {
				return err
			}
			m, err := tx.Member(ctx, userID)
			if err != nil {
				return err
			}
			same(t, step.name, found[userID], step.about)
			same(t, step.name, m, step.member)
		}
	}
	_, err := tx.Append(ctx, group.MemberBanned, "alice", struct{}{})
	return err
}

func pointer[T any](v T) *T { return &v }
