package grouptest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
)

func testEvents(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	raw := json.RawMessage(`{"b": 1,  "a":"<&>","n":1.50}`)
	events := change(t, s, g.ID, func(tx group.Tx) error {
		_, err1 := tx.Append(ctx, group.MessagePosted, "bob", raw)
		_, err2 := tx.Append(ctx, group.MessagePosted, "", map[string]string{"a": "<&> 모임"})
		_, err3 := tx.Append(ctx, group.MessagePosted, "bob", make(chan int))
		if err3 == nil {
			t.Error("data that cannot be encoded made no error")
		}
		return errors.Join(err1, err2)
	})
	withoutHoles(t, events, 1)
	if got := string(events[0].Data); got != string(raw) {
		t.Errorf("raw data became %s", got)
	}
	if got, want := string(events[1].Data), `{"a":"<&> 모임"}`; got != want {
		t.Errorf("data is %s, want %s", got, want)
	}
	if events[0].Actor == nil || *events[0].Actor != "bob" || events[1].Actor != nil {
		t.Errorf("actors %v and %v, want bob and the system", events[0].Actor, events[1].Actor)
	}
	same(t, "the log", read(t, s, g.ID, 1, 10).Events, events)
}

// testReplaced replaces the data of events. Later reads must return the new data, and
// everything else must stay.
func testReplaced(t *testing.T, s Store) {
	ctx, g, other := t.Context(), create(t, s), create(t, s)
	for n := range 3 {
		change(t, s, g.ID, post(ctx, n)) // versions 2 to 4
		change(t, s, other.ID, post(ctx, n))
	}
	before, untouched := read(t, s, g.ID, 0, 10).Events, read(t, s, other.ID, 0, 10).Events
	data := json.RawMessage(`{"text":"모임 <&>"}`)
	added := change(t, s, g.ID, func(tx group.Tx) error {
		e, err := tx.Event(ctx, 3)
		same(t, "an event in a change", e, &before[2])
		none, err1 := tx.Event(ctx, 9)
		same(t, "an event that is not there", none, (*group.Event)(nil))
		_, err2 := tx.Append(ctx, group.MessageEdited, "bob", data)
		return errors.Join(err, err1, err2, tx.SetData(ctx, 3, data))
	})
	before[2].Data = data
	same(t, "the log", read(t, s, g.ID, 0, 10).Events, append(before, added...))
	same(t, "another log", read(t, s, other.ID, 0, 10).Events, untouched)
	now, _ := get(t, s, g.ID, "")
	same(t, "the revision", now.Revision, g.Revision)

	failed := errors.New("no")
	_, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error {
		return errors.Join(failed, tx.SetData(ctx, 2, json.RawMessage(`null`)))
	})
	if !errors.Is(err, failed) || string(read(t, s, g.ID, 1, 1).Events[0].Data) != string(before[1].Data) {
		t.Errorf("a failed change replaced data: %v", err)
	}
	if _, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error { return tx.SetData(ctx, 9, data) }); err == nil {
		t.Error("the data of a missing event was replaced")
	}
}

func testLogPages(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	other := create(t, s)
	change(t, s, g.ID, join(ctx, "bob"))
	for n := range 8 {
		change(t, s, g.ID, post(ctx, n)) // up to version 10
		change(t, s, other.ID, post(ctx, n))
	}
	for _, c := range []struct {
		since int64
		limit int
		want  []int64
	}{
		{0, 3, []int64{1, 2, 3}},
		{3, 4, []int64{4, 5, 6, 7}},
		{7, 3, []int64{8, 9, 10}},
		{7, 100, []int64{8, 9, 10}},
		{9, 100, []int64{10}},
		{10, 100, []int64{}},
		{11, 100, []int64{}},
		{0, 0, []int64{}},
	} {
		page := read(t, s, g.ID, c.since, c.limit)
		same(t, "versions", versions(page.Events), c.want)
		if page.Group.Version != 10 || page.First != 1 || page.Deleted || len(page.Members) != 0 {
			t.Errorf("since %d: %+v", c.since, page)
		}
	}
	page := read(t, s, g.ID, 10, 10, "alice", "nobody", "bob", "bob")
	same(t, "members", page.Members, map[string]group.Member{"alice": owner(), "bob": member("bob")})
	now, _ := get(t, s, g.ID, "")
	same(t, "the group", page.Group, now)

	for _, userID := range []string{"bob", "nobody", "no\x00body", ""} { // a read for one user, who has seen no events
		one, many := read(t, s, g.ID, 0, 0, userID), read(t, s, g.ID, 0, 0, userID, "")
		same(t, "reads for one user and for several", one, many)
	}
	_, err := s.Read(ctx, newID(), 0, 0, []string{"bob"})
	isNotFound(t, "Read", err)
	_, err = s.Memberships(ctx, newID(), []string{"bob"})
	isNotFound(t, "Memberships", err)

	users := make([]string, 3000)
	for i := range users {
		users[i] = user(i)
	}
	if page := read(t, s, g.ID, 10, 10, append(users, "bob")...); len(page.Members) != 1 {
		t.Errorf("%d members among many users, want bob", len(page.Members))
	}
}

// testLargePages checks that a page of large events ends early, and that the next pages
// continue without a gap.
func testLargePages(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	large := json.RawMessage(`"` + strings.Repeat("x", 32<<10) + `"`)
	for range 100 {
		change(t, s, g.ID, func(tx group.Tx) error {
			_, err := tx.Append(ctx, group.MessagePosted, "bob", large)
			return err
		})
	}
	for since := int64(0); since < 101; {
		events := read(t, s, g.ID, since, 1000).Events
		size := 0
		for _, e := range events {
			size += len(e.Data)
		}
		if size > group.PageBytes+len(large) {
			t.Fatalf("a page after %d has %d bytes", since, size)
		}
		withoutHoles(t, events, since)
		since = events[len(events)-1].Version
	}
}

// testMemberships checks that Memberships returns the same users and group as a page of the
// log.
func testMemberships(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	other := create(t, s)
	change(t, s, g.ID, join(ctx, "bob"))
	change(t, s, other.ID, join(ctx, "eve"))
	check := func() {
		t.Helper()
		for _, users := range [][]string{
			nil, {"bob"}, {"eve"}, {"no\x00body"}, {""}, {"alice", "nobody", "bob", "bob", "eve", "no\x00body"},
		} {
			page := read(t, s, g.ID, 10, 0, users...)
			st, err := s.Memberships(ctx, g.ID, users)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "the memberships", st, group.Memberships{
				Version: page.Group.Version, MovedAt: page.MovedAt, Deleted: page.Deleted, Members: page.Members,
			})
		}
	}
	check()
	change(t, s, g.ID, func(tx group.Tx) error {
		_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
		return errors.Join(err, tx.Delete(ctx))
	})
	check()
}

// testLogMoment reads while others write. The parts of each answer must be of the same
// version.
func testLogMoment(t *testing.T, s Store) {
	g := create(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; n < 400 && ctx.Err() == nil; n++ {
			_, err := s.Change(t.Context(), g.ID, "", func(tx group.Tx) error {
				m, err := tx.Member(t.Context(), "bob")
				switch {
				case err != nil:
					return err
				case m == nil:
					return join(t.Context(), "bob")(tx)
				}
				if err := tx.RemoveMember(t.Context(), "bob"); err != nil {
					return err
				}
				_, err = tx.Append(t.Context(), group.MemberLeft, "bob", struct{}{})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for range 100 {
		page := read(t, s, g.ID, 0, 1000, "bob")
		withoutHoles(t, page.Events, 0)
		last := page.Events[len(page.Events)-1]
		if last.Version != page.Group.Version {
			t.Fatalf("the log ends at %d, the group is at %d", last.Version, page.Group.Version)
		}
		_, in := page.Members["bob"]
		if want := last.Type == group.MemberJoined; in != want || (page.Group.MemberCount == 2) != want {
			t.Fatalf("after %s bob is in: %v, and %d are counted", last.Type, in, page.Group.MemberCount)
		}
		members, version, err := s.Members(t.Context(), g.ID, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if joined := version%2 == 0; (len(members) == 2) != joined {
			t.Fatalf("%d members at version %d", len(members), version)
		}
	}
	cancel()
	writer.Wait()
}

func testHeads(t *testing.T, s Store) {
	ctx := t.Context()
	first, second := create(t, s), create(t, s)
	change(t, s, second.ID, post(ctx, 1))
	heads := func(window time.Duration, of ...string) map[string]int64 {
		t.Helper()
		list, err := s.Heads(ctx, window, of)
		if err != nil {
			t.Fatal(err)
		}
		m := make(map[string]int64)
		for _, h := range list {
			m[h.GroupID] = h.Version
		}
		return m
	}
	same(t, "within an hour", heads(time.Hour), map[string]int64{first.ID: 1, second.ID: 2})
	if got := heads(time.Hour, second.ID, newID(), "a\x00b"); got[second.ID] != 2 || len(got) > 2 {
		t.Errorf("of the second group: %v", got)
	}
	same(t, "of one in the future", heads(-time.Hour, second.ID), map[string]int64{})
	same(t, "in the future", heads(-time.Hour), map[string]int64{})

	// The first group leaves the window, and the second one stays in it.
	const window = 2 * time.Second
	waittest.Until(t, "the first group is no longer a head", func() bool {
		change(t, s, second.ID, post(ctx, 1))
		got := heads(window)
		if of := heads(window, first.ID, second.ID); of[second.ID] != got[second.ID] {
			t.Errorf("of both: %v, of all: %v", of, got)
		}
		_, old := got[first.ID]
		_, fresh := got[second.ID]
		return !old && fresh
	})
}
