package grouptest

import (
	"slices"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

// walk reads a listing page by page, and returns the ids of all items.
func walk[T any](t *testing.T, limit int, page func(cursor string) ([]T, error), id func(T) string) []string {
	t.Helper()
	ids := []string{}
	for cursor := ""; ; {
		items, err := page(cursor)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) > limit {
			t.Fatalf("a page of %d, want at most %d", len(items), limit)
		}
		for _, item := range items {
			ids = append(ids, id(item))
		}
		if len(items) < limit {
			if items == nil {
				t.Error("an empty page is nil, which is null in JSON")
			}
			return ids
		}
		cursor = ids[len(ids)-1]
	}
}

func testMemberListing(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	other := create(t, s)
	// Ordered by bytes. No locale orders like this.
	want := []string{"A", "Z", "a", "a-b", "a_b", "aa", "alice", "b", "z", "ä", "모임", "🙂"}
	for _, u := range want {
		if u != "alice" {
			change(t, s, g.ID, join(ctx, u))
		}
	}
	change(t, s, other.ID, join(ctx, "elsewhere"))
	for _, limit := range []int{1, 5, 12, 100} {
		got := walk(t, limit, func(after string) ([]group.ListedMember, error) {
			members, version, err := s.Members(ctx, g.ID, after, limit)
			if version != 12 {
				t.Errorf("version %d, want 12", version)
			}
			return members, err
		}, func(m group.ListedMember) string { return m.UserID })
		same(t, "members", got, want)
	}
	members, _, err := s.Members(ctx, g.ID, "aa", 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "alice", members, []group.ListedMember{{Member: owner()}})
}

func testPublicListing(t *testing.T, s Store) {
	var want []string
	for range 7 {
		want = append(want, create(t, s, func(g *group.Group) { g.Visibility = group.Public }).ID)
		create(t, s)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 3, 7, 100} {
		got := walk(t, limit, func(before string) ([]group.Group, error) {
			return s.PublicGroups(t.Context(), "", before, limit)
		}, func(g group.Group) string { return g.ID })
		same(t, "public groups", got, want)
	}
}

func testSearch(t *testing.T, s Store) {
	name := make(map[string]string)
	for _, n := range []string{"100% Go", "100 Go", "snake_case", "snakeXcase", `back\slash`, "ÄRGER im Büro", "스터디 모임", "ﬁle"} {
		g := create(t, s, func(g *group.Group) { g.Name, g.Visibility = n, group.Public })
		name[g.ID] = n
	}
	create(t, s, func(g *group.Group) { g.Name = "100% private" })
	for query, want := range map[string][]string{
		"100":         {"100% Go", "100 Go"},
		"100%":        {"100% Go"},
		"%":           {"100% Go"},
		"e_c":         {"snake_case"},
		"_":           {"snake_case"},
		`\`:           {`back\slash`},
		"GO":          {"100% Go", "100 Go"},
		"ärger":       {"ÄRGER im Büro"},
		"a\u0308rger": {"ÄRGER im Büro"}, // the letter and the combining dots as two characters
		"모임":          {"스터디 모임"},
		"file":        {"ﬁle"},
		"nothing":     {},
	} {
		groups, err := s.PublicGroups(t.Context(), query, "", 100)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		got := []string{}
		for _, g := range slices.Backward(groups) {
			got = append(got, name[g.ID])
		}
		same(t, "groups with "+query, got, want)
	}
	g := create(t, s, func(g *group.Group) { g.Name, g.Visibility = "before", group.Public })
	change(t, s, g.ID, func(tx group.Tx) error {
		n := tx.Group()
		n.Name = "afterwards"
		if err := tx.SetGroup(t.Context(), n); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.GroupUpdated, "alice", struct{}{})
		return err
	})
	for query, want := range map[string]int{"before": 0, "afterwards": 1} {
		if groups, err := s.PublicGroups(t.Context(), query, "", 100); err != nil || len(groups) != want {
			t.Errorf("after renaming, %q finds %d, %v; want %d", query, len(groups), err, want)
		}
	}
}

func testUserListing(t *testing.T, s Store) {
	ctx := t.Context()
	var want []string
	for range 5 {
		g := create(t, s)
		change(t, s, g.ID, join(ctx, "bob"))
		want = append(want, g.ID)
		create(t, s)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 5, 100} {
		got := walk(t, limit, func(before string) ([]group.Membership, error) {
			return s.UserGroups(ctx, "bob", before, limit)
		}, func(m group.Membership) string { return m.ID })
		same(t, "bob's groups", got, want)
	}
	mine, err := s.UserGroups(ctx, "bob", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	g, _ := get(t, s, want[0], "")
	same(t, "the newest", mine, []group.Membership{{Group: g, Role: group.MemberRole, ReadVersion: 1}})
	if hers, err := s.UserGroups(ctx, "alice", "", 100); err != nil || len(hers) != 10 || hers[0].Role != group.Owner {
		t.Errorf("alice owns %d groups, %v; want 10", len(hers), err)
	}
	for userID, want := range map[string][2]int{"alice": {10, 10}, "bob": {5, 0}, "nobody": {0, 0}, "a\x00b": {0, 0}} {
		joined, owned, err := s.CountUserGroups(ctx, userID)
		if got := [2]int{joined, owned}; got != want || err != nil {
			t.Errorf("%q is in %d groups and owns %d, %v; want %v", userID, joined, owned, err, want)
		}
	}
	if none, err := s.UserGroups(ctx, "nobody", "", 100); err != nil || len(none) != 0 {
		t.Errorf("an unknown user is in %d groups, %v", len(none), err)
	}
}

// testUnstorable passes text that a database may refuse. It must be treated as an unknown
// name or id.
func testUnstorable(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	for _, text := range []string{"a\x00b", "\xff\xfe"} {
		_, _, err := s.Group(ctx, text, "alice")
		isNotFound(t, "Group", err)
		_, err = s.Change(ctx, text, "", post(ctx, 1))
		isNotFound(t, "Change", err)
		_, err = s.Read(ctx, text, 0, 10, nil)
		isNotFound(t, "Read", err)
		_, _, err = s.Members(ctx, text, "", 10)
		isNotFound(t, "Members", err)
		if _, m := get(t, s, g.ID, text); m != nil {
			t.Errorf("%q is a member", text)
		}
		if page := read(t, s, g.ID, 0, 10, text, "alice"); len(page.Members) != 1 {
			t.Errorf("%d members, want alice", len(page.Members))
		}
		if groups, err := s.PublicGroups(ctx, text, "", 10); err != nil || len(groups) != 0 {
			t.Errorf("search: %d groups, %v", len(groups), err)
		}
		if groups, err := s.UserGroups(ctx, text, "", 10); err != nil || len(groups) != 0 {
			t.Errorf("user groups: %d, %v", len(groups), err)
		}
		change(t, s, g.ID, func(tx group.Tx) error {
			if m, err := tx.Member(ctx, text); m != nil || err != nil {
				t.Errorf("member %q: %v, %v", text, m, err)
			}
			return nil
		})
	}
}
