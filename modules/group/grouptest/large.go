package grouptest

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// attributes returns an object of about n bytes.
func attributes(n int) json.RawMessage {
	return json.RawMessage(`{"x":"` + strings.Repeat("x", n) + `"}`)
}

// inPages reads a list of large items page by page. It checks that a store does not read
// much more than fits on a page.
func inPages[T any](t *testing.T, want []string, read func(from string) ([]T, error), id func(T) string) {
	t.Helper()
	var got []string
	from, pages := "", 0
	for more := true; more; pages++ {
		items, err := read(from)
		if err != nil {
			t.Fatal(err)
		}
		fit := group.Fit(items, 200)
		if len(items) > fit+fit/10+1 { // while reading, a store counts only the text of the items
			t.Errorf("page %d: %d items are read, %d fit", pages, len(items), fit)
		}
		if data, err := rawjson.Marshal(items[:fit]); err != nil || len(data) > group.ListBytes+1 {
			t.Errorf("page %d has %d bytes: %v", pages, len(data), err)
		}
		more = fit < len(items)
		for _, item := range items[:fit] {
			from = id(item)
			got = append(got, from)
		}
	}
	if pages < 2 {
		t.Errorf("%d pages", pages)
	}
	same(t, "the items", got, want)
}

// testLargeItems checks that a page of large items ends early, and that the next page
// continues without a gap.
func testLargeItems(t *testing.T, s Store) {
	ctx := t.Context()
	var groups, members []string
	for range 40 {
		groups = append(groups, create(t, s, func(g *group.Group) {
			g.Visibility, g.Attributes = group.Public, attributes(16<<10)
		}).ID)
	}
	members = append(members, "alice")
	change(t, s, groups[0], func(tx group.Tx) error {
		for i := range 150 {
			m := member(user(i))
			m.Attributes = attributes(4 << 10)
			if err := tx.AddMember(ctx, m); err != nil {
				return err
			}
			if _, err := tx.Append(ctx, group.MemberJoined, m.UserID, m); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 150 {
		members = append(members, user(i))
	}
	slices.Reverse(groups)
	t.Run("public groups", func(t *testing.T) {
		inPages(t, groups, func(before string) ([]group.Group, error) {
			return s.PublicGroups(ctx, "", before, 201)
		}, func(g group.Group) string { return g.ID })
	})
	t.Run("groups of a user", func(t *testing.T) {
		inPages(t, groups, func(before string) ([]group.Membership, error) {
			return s.UserGroups(ctx, "alice", before, 201)
		}, func(m group.Membership) string { return m.ID })
	})
	t.Run("members", func(t *testing.T) {
		inPages(t, members, func(after string) ([]group.ListedMember, error) {
			items, _, err := s.Members(ctx, groups[len(groups)-1], after, 201)
			return items, err
		}, func(m group.ListedMember) string { return m.UserID })
	})
	t.Run("messages", func(t *testing.T) {
		var posted []string
		for range 40 {
			for _, e := range change(t, s, groups[0], func(tx group.Tx) error {
				_, err := tx.Append(ctx, group.MessagePosted, "alice", attributes(32<<10))
				return err
			}) {
				posted = append(posted, strconv.FormatInt(e.Version, 10))
			}
		}
		slices.Reverse(posted)
		inPages(t, posted, func(from string) ([]group.Event, error) {
			before, err := strconv.ParseInt(cmp.Or(from, "9999"), 10, 64)
			if err != nil {
				return nil, err
			}
			return s.Messages(ctx, groups[0], before, 201)
		}, func(e group.Event) string { return strconv.FormatInt(e.Version, 10) })
	})
	t.Run("bans", func(t *testing.T) {
		var banned []string
		change(t, s, groups[0], func(tx group.Tx) error {
			for i := range 200 {
				b := group.Ban{UserID: user(i), Reason: strings.Repeat("€", 500), Actor: "alice", At: at}
				if err := tx.SetBan(ctx, b); err != nil {
					return err
				}
			}
			_, err := tx.Append(ctx, group.MemberBanned, "alice", struct{}{})
			return err
		})
		for i := range 200 {
			banned = append(banned, user(i))
		}
		inPages(t, banned, func(after string) ([]group.Ban, error) {
			return s.Bans(ctx, groups[0], after, at, 201)
		}, func(b group.Ban) string { return b.UserID })
	})
}
