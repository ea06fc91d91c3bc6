package grouptest

import (
	"slices"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

func testFind(t *testing.T, s Store) {
	ctx := t.Context()
	var ids []string
	for i := range 6 {
		g := fixture()
		if i%2 == 1 {
			g.Visibility = group.Public
		}
		m := owner()
		if i >= 4 {
			m.UserID = "bob"
		}
		if _, _, err := s.Create(ctx, "alice", g, m, nil, nil); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, g.ID)
	}
	find := func(f group.Filter, want ...int) {
		t.Helper()
		names := []string{}
		for _, i := range want {
			names = append(names, ids[i])
		}
		for _, limit := range []int{1, 2, 4, 100} {
			got := []string{}
			for after := ""; ; {
				page, err := s.FindGroups(ctx, f, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range page {
					got, after = append(got, g.ID), f.Place(g)
					if g.ActiveAt.IsZero() || (g.DeletedAt != nil) != f.Deleted {
						t.Errorf("%+v: found %+v", f, g)
					}
				}
				if len(page) < limit {
					break
				}
			}
			same(t, "what a back end finds", got, names)
		}
	}
	find(group.Filter{}, 5, 4, 3, 2, 1, 0)
	find(group.Filter{OwnerID: "bob"}, 5, 4)
	find(group.Filter{OwnerID: "nobody"})
	find(group.Filter{Deleted: true})

	change(t, s, ids[1], func(tx group.Tx) error {
		_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
		if err != nil {
			return err
		}
		return tx.Delete(ctx)
	})
	find(group.Filter{}, 5, 4, 3, 2, 0)
	find(group.Filter{Deleted: true}, 1)
	find(group.Filter{OwnerID: "alice", Deleted: true}, 1)
	find(group.Filter{OwnerID: "bob", Deleted: true})

	// The order by activity is only exact to the second.
	active := func(f group.Filter) []string {
		t.Helper()
		groups, err := s.FindGroups(ctx, f, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		list := []string{}
		for i, g := range groups {
			if i > 0 && f.Place(groups[i-1]) == f.Place(g) || i > 0 && groups[i-1].ActiveAt.Before(g.ActiveAt) {
				t.Errorf("%s is listed after a group that was active earlier", g.ID)
			}
			list = append(list, g.ID)
		}
		slices.Sort(list)
		return list
	}
	same(t, "active groups", active(group.Filter{Order: group.Active}), []string{ids[0], ids[2], ids[3], ids[4], ids[5]})
	same(t, "active groups of bob", active(group.Filter{Order: group.Active, OwnerID: "bob"}), ids[4:])
	first, err := s.FindGroups(ctx, group.Filter{Order: group.Active}, "", 2)
	if err != nil || len(first) != 2 {
		t.Fatalf("the first two: %+v, %v", first, err)
	}
	rest, err := s.FindGroups(ctx, group.Filter{Order: group.Active}, group.Filter{Order: group.Active}.Place(first[1]), 100)
	if err != nil || len(rest) != 3 || rest[0].ActiveAt.After(first[1].ActiveAt) {
		t.Errorf("the rest: %+v, %v", rest, err)
	}
	if _, err := s.FindGroups(ctx, group.Filter{Order: group.Active}, "no place", 1); err == nil {
		t.Error("an invalid place is accepted")
	}
}
