package grouptest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

// finder finds groups page by page, and returns their indexes in ids.
type finder struct {
	t   *testing.T
	s   Store
	ids []string
}

func (f *finder) want(filter group.Filter, want ...int) {
	f.t.Helper()
	for _, limit := range []int{1, 2, 100} {
		got := []int{}
		for after := ""; ; {
			page, err := f.s.FindGroups(f.t.Context(), filter, after, limit)
			if err != nil {
				f.t.Fatalf("%+v: %v", filter, err)
			}
			for _, g := range page {
				got, after = append(got, slices.Index(f.ids, g.ID)), filter.Place(g)
				if g.ActiveAt.IsZero() {
					f.t.Errorf("%+v: found %+v", filter, g)
				}
			}
			if len(page) < limit {
				break
			}
		}
		if !slices.Equal(got, want) {
			f.t.Errorf("%+v, %d at a time: found %v, want %v", filter, limit, got, want)
		}
	}
}

func (f *finder) add(change func(*group.Group)) {
	f.t.Helper()
	f.ids = append(f.ids, create(f.t, f.s, change).ID)
}

func (f *finder) remove(i int) {
	f.t.Helper()
	change(f.t, f.s, f.ids[i], func(tx group.Tx) error {
		if err := tx.Delete(f.t.Context()); err != nil {
			return err
		}
		_, err := tx.Append(f.t.Context(), group.GroupDeleted, "alice", struct{}{})
		return err
	})
}

func testFindByAttributes(t *testing.T, s Store) {
	ctx := t.Context()
	f := &finder{t: t, s: s}
	for _, attributes := range []string{
		`{"game":"chess","level":3,"ranked":true}`,
		`{"game":"go","level":3.0,"ranked":false,"more":{"game":"chess"}}`,
		`{"game":"chess","level":"3","tags":["a"],"none":null}`,
		`{}`,
		`{"\u0000":"x","nul":"\u0000","half":"\ud800","` + strings.Repeat("k", 129) + `":"long","long":"` + strings.Repeat("v", 257) + `","game":"chess"}`,
		`{"game":"chess","game":"go"}`,
	} {
		f.add(func(g *group.Group) { g.Attributes = json.RawMessage(attributes) })
	}
	attr := func(pairs ...string) group.Filter {
		filter := group.Filter{Attributes: map[string]string{}}
		for _, p := range pairs {
			key, value, _ := strings.Cut(p, "=")
			filter.Attributes[key] = value
		}
		return filter
	}
	f.want(attr("game=chess"), 4, 2, 0)
	f.want(attr("game=go"), 5, 1)
	f.want(attr("level=3"), 2, 0)
	f.want(attr("level=3.0"), 1)
	f.want(attr("ranked=true"), 0)
	f.want(attr("game=chess", "level=3"), 2, 0)
	f.want(attr("game=chess", "level=3", "ranked=true"), 0)
	f.want(attr("game=go", "ranked=true"))
	f.want(attr("more={}"))
	f.want(attr("none="))
	f.want(attr("none=null"))
	f.want(attr("nul=\x00"))
	f.want(attr("long=" + strings.Repeat("v", 257)))
	owned := attr("game=chess", "level=3")
	owned.OwnerID = "alice"
	f.want(owned, 2, 0)
	owned.OwnerID = "bob"
	f.want(owned)

	set := func(i int, attributes string) {
		t.Helper()
		change(t, s, f.ids[i], func(tx group.Tx) error {
			g := tx.Group()
			g.Name, g.Attributes = "renamed", json.RawMessage(attributes)
			if err := tx.SetGroup(ctx, g); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.GroupUpdated, "alice", struct{}{})
			return err
		})
	}
	set(3, `{"game":"chess"}`)
	set(2, `{"level":4}`)
	set(0, `{"game":"chess","level":3,"ranked":true}`) // no change
	f.want(attr("game=chess"), 4, 3, 0)
	f.want(attr("level=3"), 0)
	f.want(attr("level=4"), 2)
	f.remove(4)
	f.want(attr("game=chess"), 3, 0)

	many := make(map[string]int)
	for i := range 100 {
		many[fmt.Sprintf("key-%03d", i)] = i
	}
	raw, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	set(0, string(raw))
	f.want(attr("key-063=63"), 0)
	f.want(attr("key-064=64")) // only the first 64 keys are searched
}

func testFindLargest(t *testing.T, s Store) {
	ctx := t.Context()
	f := &finder{t: t, s: s}
	for range 5 {
		f.add(func(*group.Group) {})
	}
	join := func(i int, users ...string) {
		t.Helper()
		change(t, s, f.ids[i], func(tx group.Tx) error {
			for _, user := range users {
				if err := tx.AddMember(ctx, member(user)); err != nil {
					return err
				}
			}
			_, err := tx.Append(ctx, group.MemberJoined, "alice", struct{}{})
			return err
		})
	}
	largest := group.Filter{Order: group.Largest}
	f.want(largest, 4, 3, 2, 1, 0)
	join(1, "bob", "cy", "di")
	join(3, "bob")
	f.want(largest, 1, 3, 4, 2, 0)
	change(t, s, f.ids[1], func(tx group.Tx) error {
		for _, user := range []string{"bob", "cy"} {
			if err := tx.RemoveMember(ctx, user); err != nil {
				return err
			}
		}
		_, err := tx.Append(ctx, group.MemberLeft, "bob", struct{}{})
		return err
	})
	join(0, "bob", "cy")
	f.want(largest, 0, 3, 1, 4, 2)
	f.want(group.Filter{Order: group.Largest, OwnerID: "alice"}, 0, 3, 1, 4, 2)
	f.want(group.Filter{Order: group.Largest, OwnerID: "bob"})
	f.remove(0)
	f.want(largest, 3, 1, 4, 2)
	if _, err := s.FindGroups(ctx, largest, "no place", 1); err == nil {
		t.Error("an invalid place is accepted")
	}
}

func testFindByName(t *testing.T, s Store) {
	ctx := t.Context()
	f := &finder{t: t, s: s}
	for i, name := range []string{"Chess club", "chess night", "저녁 체스 모임", "Go club", "CHESS"} {
		f.add(func(g *group.Group) {
			g.Name = name
			if i%2 == 1 {
				g.Visibility = group.Public
			}
		})
	}
	named := func(q string) group.Filter { return group.Filter{Query: q} }
	f.want(named("chess"), 4, 1, 0)
	f.want(named("club"), 3, 0)
	f.want(named("체스"), 2)
	f.want(named("스"), 2)
	f.want(named("chess club"), 0)
	f.want(named("poker"))
	public, err := s.PublicGroups(ctx, "chess", "", 10)
	if err != nil || len(public) != 1 || public[0].ID != f.ids[1] {
		t.Errorf("public: %+v, %v", public, err)
	}
	change(t, s, f.ids[0], func(tx group.Tx) error {
		g := tx.Group()
		g.Name, g.Visibility = "Checkers", group.Public
		if err := tx.SetGroup(ctx, g); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.GroupUpdated, "alice", struct{}{})
		return err
	})
	f.want(named("chess"), 4, 1)
	f.want(named("checkers"), 0)
	f.remove(4)
	f.want(named("chess"), 1)
}
