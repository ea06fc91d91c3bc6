package grouptest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// entryAt returns an audit entry with the given time in milliseconds.
func entryAt(ms int64, actor, groupID, userID string) audit.Entry {
	id := uuid.Must(uuid.NewV7())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return audit.Entry{
		ID: id.String(), At: time.UnixMilli(ms).UTC(), Actor: actor, Via: audit.API, Action: "update", GroupID: groupID, UserID: userID,
		Before: json.RawMessage(`{}`), After: json.RawMessage(`{"group":{"name":"` + userID + `"}}`), RequestID: "request",
	}
}

func testAudit(t *testing.T, s Store) {
	ctx := t.Context()
	const day = 24 * 3600 * 1000
	now := time.Now().UnixMilli()
	all := []audit.Entry{ // newest first
		entryAt(now, "b1", "g1", "u1"),
		entryAt(now-1, "b2", "g2", "u1"),
		entryAt(now-1000, "b1", "u1", "u1"), // the same id as a target group and as a user
		entryAt(now-2*day, "b2", "", "u2"),
		entryAt(now-3*day, "b1", "g1", ""),
	}
	for _, e := range []int{3, 0, 4, 2, 1} {
		if err := s.Record(ctx, all[e]); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, f audit.Filter, places ...int) {
		t.Helper()
		expected := []audit.Entry{}
		for _, i := range places {
			expected = append(expected, all[i])
		}
		for _, size := range []int{1, 2, 100} {
			got, before := []audit.Entry{}, ""
			for {
				page, err := s.Entries(ctx, f, before, size)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page...)
				if len(page) < size {
					break
				}
				before = page[len(page)-1].ID
			}
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Errorf("%s, %d at a time: %s", what, size, diff)
			}
		}
	}
	want("all", audit.Filter{}, 0, 1, 2, 3, 4)
	want("an actor's", audit.Filter{Actor: "b1"}, 0, 2, 4)
	want("a group's", audit.Filter{Target: "g1"}, 0, 4)
	want("a user's", audit.Filter{Target: "u1"}, 0, 1, 2)
	want("a user's by an actor", audit.Filter{Target: "u1", Actor: "b1"}, 0, 2)
	want("nobody's", audit.Filter{Target: "b1"})
	want("since yesterday", audit.Filter{Since: time.UnixMilli(now - day)}, 0, 1, 2)
	want("since the instant of one", audit.Filter{Since: all[1].At}, 0, 1)
	want("since just after one", audit.Filter{Since: all[1].At.Add(time.Microsecond)}, 0)
	want("a user's since just after one", audit.Filter{Since: all[1].At.Add(time.Microsecond), Target: "u1"}, 0)
	for _, cursor := range []string{"a\x00b", "\xff", "zzz"} {
		if _, err := s.Entries(ctx, audit.Filter{}, cursor, 10); fault.From(err).Kind != fault.BadRequest {
			t.Errorf("the cursor %q: %v", cursor, err)
		}
	}
	want("since ever", audit.Filter{Since: time.UnixMilli(-1)}, 0, 1, 2, 3, 4)

	expire := func(keep time.Duration, limit, want int) {
		t.Helper()
		if n, err := s.ExpireAudit(ctx, keep, limit); n != want || err != nil {
			t.Errorf("expired %d, want %d: %v", n, want, err)
		}
	}
	expire(24*time.Hour, 1, 1)
	want("after one step", audit.Filter{}, 0, 1, 2, 3)
	expire(24*time.Hour, 10, 1)
	expire(24*time.Hour, 10, 0)
	want("after the last step", audit.Filter{}, 0, 1, 2)
}

// testAuditTx checks that an entry is committed together with its change, or not at all.
func testAuditTx(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	stored := func(f audit.Filter) int {
		t.Helper()
		entries, err := s.Entries(ctx, f, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	now := time.Now().UnixMilli()
	refused := errors.New("refused")
	for _, fails := range []error{refused, nil} {
		_, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error {
			if err := tx.Audit(ctx, entryAt(now, "backend", g.ID, "")); err != nil {
				return err
			}
			if _, err := tx.Append(ctx, group.GroupUpdated, "backend", struct{}{}); err != nil {
				return err
			}
			return fails
		})
		if !errors.Is(err, fails) {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 1}[fails == nil]; stored(audit.Filter{Target: g.ID}) != want {
			t.Errorf("after a change that ended with %v: %d entries, want %d", fails, stored(audit.Filter{Target: g.ID}), want)
		}
	}
	for _, c := range []struct {
		actor string
		do    func(ctx context.Context, e audit.Entry) error
	}{
		{"create", func(ctx context.Context, e audit.Entry) error {
			_, _, err := s.Create(ctx, "alice", fixture(), owner(), nil, &group.Receipt{UserID: "backend", Key: "create", Request: "r", Answer: json.RawMessage(`{}`)}, e)
			return err
		}},
		{"keep", func(ctx context.Context, e audit.Entry) error {
			return s.Keep(ctx, group.Receipt{UserID: "backend", Key: "keep", Request: "r", Answer: json.RawMessage(`{}`)}, e)
		}},
		{"rename", func(ctx context.Context, e audit.Entry) error {
			_, err := s.SetRename(ctx, group.Rename{ID: newID(), UserID: "alice", Name: "Al", Actor: "backend"}, e)
			return err
		}},
	} {
		for range 2 { // the second call changes nothing
			err := c.do(ctx, entryAt(now, c.actor, "", ""))
			if err != nil && !errors.Is(err, group.ErrReceipted) {
				t.Fatal(err)
			}
			if n := stored(audit.Filter{Actor: c.actor}); n != 1 {
				t.Errorf("%s: %d entries, want 1", c.actor, n)
			}
		}
	}
}

// testLargeAudit checks that a page of large entries ends early, but has enough entries to
// show that there are more.
func testLargeAudit(t *testing.T, s Store) {
	ctx := t.Context()
	now := time.Now().UnixMilli()
	for range 30 {
		e := entryAt(now, "backend", "g", "")
		e.Before = json.RawMessage(`{"leftOut":"` + strings.Repeat("x", 60<<10) + `"}`)
		if err := s.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	seen, before := 0, ""
	for {
		page, err := s.Entries(ctx, audit.Filter{Target: "g"}, before, 101)
		if err != nil {
			t.Fatal(err)
		}
		fit := group.Fit(page, 100)
		if len(page) > 8 {
			t.Errorf("a page of %d large entries", len(page))
		}
		if seen += fit; fit == len(page) {
			break
		}
		before = page[fit-1].ID
	}
	if seen != 30 {
		t.Errorf("saw %d entries, want 30", seen)
	}
}
