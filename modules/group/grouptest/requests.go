package grouptest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testApplicants(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	ask := func(userID, name string) group.Applicant {
		t.Helper()
		a := group.Applicant{UserID: userID, Name: name, At: at}
		change(t, s, g.ID, func(tx group.Tx) error { return tx.SetApplicant(ctx, a) })
		return a
	}
	list := func(groupID string) []group.Applicant {
		t.Helper()
		applicants, err := s.Applicants(ctx, groupID, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return applicants
	}
	same(t, "nobody asked", list(g.ID), []group.Applicant{})
	bob, eve := ask("bob", "모임 <b>"), ask("eve", "")
	same(t, "two asked", list(g.ID), []group.Applicant{bob, eve})
	same(t, "nobody asked elsewhere", list(other.ID), []group.Applicant{})

	soon := at.Add(time.Minute)
	ban := group.Ban{UserID: "bob", Reason: "spam", ExpiresAt: &soon, Actor: "alice", At: at}
	change(t, s, g.ID, func(tx group.Tx) error {
		if err := tx.SetBan(ctx, ban); err != nil {
			return err
		}
		found, err := tx.Outsiders(ctx, "eve", "nobody", "bob")
		same(t, "outsiders", found, map[string]group.Outsider{"bob": {Ban: &ban, Applicant: &bob}, "eve": {Applicant: &eve}})
		return err
	})
	for range 2 {
		change(t, s, g.ID, func(tx group.Tx) error { return tx.RemoveApplicant(ctx, "bob") })
	}
	same(t, "one is left", list(g.ID), []group.Applicant{eve})

	want := []string{"B", "a", "b", "eve", "ä"}
	for _, u := range want {
		ask(u, "")
	}
	for _, limit := range []int{1, 2, 5, 100} {
		got := walk(t, limit, func(after string) ([]group.Applicant, error) {
			return s.Applicants(ctx, g.ID, after, limit)
		}, func(a group.Applicant) string { return a.UserID })
		same(t, "applicants", got, want)
	}
	_, err := s.Applicants(ctx, newID(), "", 10)
	isNotFound(t, "requests of an unknown group", err)
	change(t, s, g.ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	_, err = s.Applicants(ctx, g.ID, "", 10)
	isNotFound(t, "requests of a deleted group", err)
}

func testUserRequests(t *testing.T, s Store) {
	ctx := t.Context()
	list := func(userID string) []group.SentRequest {
		t.Helper()
		requests, err := s.UserRequests(ctx, userID, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return requests
	}
	same(t, "nothing asked", list("fay"), []group.SentRequest{})
	groups := make([]group.Group, 5)
	var want []string
	for i := range groups {
		g := create(t, s, func(g *group.Group) { g.Visibility = group.Public })
		change(t, s, g.ID, func(tx group.Tx) error {
			err := tx.SetApplicant(ctx, group.Applicant{UserID: "eve", At: at})
			return errors.Join(err, tx.SetApplicant(ctx, group.Applicant{UserID: "fay", At: at}))
		})
		groups[i], want = g, append(want, g.ID)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 5, 100} {
		got := walk(t, limit, func(before string) ([]group.SentRequest, error) {
			return s.UserRequests(ctx, "fay", before, limit)
		}, func(r group.SentRequest) string { return r.GroupID })
		same(t, "the groups that fay asked to join", got, want)
	}

	set := func(g group.Group, typ group.EventType, fn func(*group.Group)) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) error {
			changed := tx.Group()
			fn(&changed)
			if err := tx.SetGroup(ctx, changed); err != nil {
				return err
			}
			_, err := tx.Append(ctx, typ, "", struct{}{})
			return err
		})
	}
	set(groups[0], group.GroupUpdated, func(g *group.Group) { g.Visibility = group.Private })
	set(groups[1], group.GroupEnded, func(g *group.Group) { g.EndedAt = &at })
	change(t, s, groups[2].ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	change(t, s, groups[3].ID, func(tx group.Tx) error { return tx.RemoveApplicant(ctx, "fay") })
	same(t, "a private group has no name", list("fay"), []group.SentRequest{
		{GroupID: groups[4].ID, GroupName: groups[4].Name, At: at},
		{GroupID: groups[0].ID, At: at},
	})
	same(t, "what names nobody", list("a\x00b"), []group.SentRequest{})
}
