package grouptest

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testCreate(t *testing.T, s Store) {
	seats, ends, ended := 8, at.Add(time.Hour), at.Add(2*time.Hour)
	full := fixture()
	full.Name, full.Description, full.Visibility = "모임 <b>&\"'\\ %_", "two\nlines", group.Public
	full.Posting = group.PostingAdmins
	full.JoinPolicy, full.Capacity, full.Attributes = group.JoinRequest, &seats, json.RawMessage(`{"a":"\u0000<","b":[1,2.50]}`)
	full.EndsAt, full.EndedAt, full.RemindBefore = &ends, &ended, []int{600, 60}
	for name, g := range map[string]group.Group{"plain": fixture(), "full": full} {
		before := time.Now().Add(-time.Minute)
		got, events, err := s.Create(t.Context(), "alice", g, owner(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := g
		want.OwnerID, want.MemberCount, want.Version, want.Revision = "alice", 1, 1, 1
		same(t, name+": what Create returned", got, want)

		stored, alice := get(t, s, g.ID, "alice")
		same(t, name+": the group", stored, want)
		o := owner()
		same(t, name+": the owner", alice, &o)
		if _, nobody := get(t, s, g.ID, "bob"); nobody != nil {
			t.Errorf("%s: bob is a member: %+v", name, nobody)
		}

		page := read(t, s, g.ID, 0, 10)
		same(t, name+": the log", page.Events, events)
		if len(events) != 1 {
			t.Fatalf("%s: %d events, want group.created alone", name, len(events))
		}
		e := events[0]
		if e.GroupID != g.ID || e.Version != 1 || e.Type != group.GroupCreated || e.Actor == nil || *e.Actor != "alice" {
			t.Errorf("%s: the event is %+v", name, e)
		}
		if e.At.Before(before) || e.At.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s: the event is of %s", name, e.At)
		}
		var data group.Group
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		same(t, name+": the event's data", data, want)
	}
}

func testUnknown(t *testing.T, s Store) {
	ctx, id := t.Context(), newID()
	_, _, err := s.Group(ctx, id, "alice")
	isNotFound(t, "Group", err)
	_, err = s.Change(ctx, id, "", func(group.Tx) error { t.Error("fn ran"); return nil })
	isNotFound(t, "Change", err)
	_, _, err = s.Members(ctx, id, "", 10)
	isNotFound(t, "Members", err)
	_, err = s.Read(ctx, id, 0, 10, nil)
	isNotFound(t, "Read", err)
}

func testRecord(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	change(t, s, g.ID, post(ctx, 1)) // version 2; the revision does not change
	seats := 3
	events := change(t, s, g.ID, func(tx group.Tx) error {
		n := tx.Group()
		n.Posting = group.PostingAdmins
		n.Name, n.Description, n.Visibility, n.JoinPolicy = "New", "text", group.Public, group.JoinInvite
		n.Capacity, n.Attributes, n.UpdatedAt = &seats, json.RawMessage(`{"k":1}`), at.Add(time.Minute)
		n.OwnerID, n.MemberCount, n.Version, n.CreatedAt = "mallory", 99, 99, at.Add(time.Hour) // SetGroup ignores these fields
		if err := tx.SetGroup(ctx, n); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, group.GroupUpdated, "alice", map[string]string{"name": "New"}); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.MessagePosted, "alice", struct{}{})
		if got := tx.Group(); got.Version != 4 || got.Revision != 3 || got.Name != "New" {
			t.Errorf("within the change: version %d, revision %d, name %q", got.Version, got.Revision, got.Name)
		}
		return err
	})
	same(t, "versions", versions(events), []int64{3, 4})
	want := g
	want.Posting = group.PostingAdmins
	want.Name, want.Description, want.Visibility, want.JoinPolicy = "New", "text", group.Public, group.JoinInvite
	want.Capacity, want.Attributes, want.UpdatedAt = &seats, json.RawMessage(`{"k":1}`), at.Add(time.Minute)
	want.Version, want.Revision = 4, 3
	got, _ := get(t, s, g.ID, "alice")
	same(t, "the record", got, want)

	change(t, s, g.ID, func(tx group.Tx) error {
		n := tx.Group()
		n.Capacity = nil
		if err := tx.SetGroup(ctx, n); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.GroupUpdated, "", map[string]any{"capacity": nil})
		return err
	})
	want.Capacity, want.Version, want.Revision = nil, 5, 5
	got, _ = get(t, s, g.ID, "alice")
	same(t, "the record without capacity", got, want)

	if none := change(t, s, g.ID, func(group.Tx) error { return nil }); len(none) != 0 {
		t.Errorf("a change without an event made %d", len(none))
	}
	got, _ = get(t, s, g.ID, "alice")
	same(t, "after a change of nothing", got, want)
}

func testMembers(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	in := func(fn func(tx group.Tx) error) { t.Helper(); change(t, s, g.ID, fn) }
	in(func(tx group.Tx) error {
		if m, err := tx.Member(ctx, "bob"); m != nil || err != nil {
			t.Errorf("bob before joining: %v, %v", m, err)
		}
		if err := join(ctx, "bob")(tx); err != nil {
			return err
		}
		m, err := tx.Member(ctx, "bob")
		want := member("bob")
		same(t, "bob within the change that adds him", m, &want)
		if n := tx.Group().MemberCount; n != 2 {
			t.Errorf("%d members within the change, want 2", n)
		}
		return err
	})
	in(func(tx group.Tx) error {
		m, err := tx.Member(ctx, "bob")
		if err != nil {
			return err
		}
		m.Role, m.Attributes = group.Admin, json.RawMessage(`{"team":"red"}`)
		m.Name, m.Profile = "Robert", json.RawMessage(`{}`)
		if err := tx.SetMember(ctx, *m); err != nil {
			return err
		}
		_, err = tx.Append(ctx, group.MemberUpdated, "alice", m)
		return err
	})
	_, bob := get(t, s, g.ID, "bob")
	want := member("bob")
	want.Role, want.Attributes = group.Admin, json.RawMessage(`{"team":"red"}`)
	want.Name, want.Profile = "Robert", nil
	same(t, "bob after the update", bob, &want)

	in(func(tx group.Tx) error { // bob joins, changes and leaves within one change
		if err := join(ctx, "carol")(tx); err != nil {
			return err
		}
		m := member("carol")
		m.Role = group.Admin
		if err := tx.SetMember(ctx, m); err != nil {
			return err
		}
		if m, err := tx.Member(ctx, "carol"); err != nil || m == nil || m.Role != group.Admin {
			t.Errorf("carol is %+v, %v", m, err)
		}
		if err := tx.RemoveMember(ctx, "carol"); err != nil {
			return err
		}
		if m, err := tx.Member(ctx, "carol"); m != nil || err != nil {
			t.Errorf("carol is still there: %+v, %v", m, err)
		}
		_, err := tx.Append(ctx, group.MemberLeft, "carol", map[string]string{"userId": "carol"})
		return err
	})
	in(func(tx group.Tx) error {
		if err := tx.RemoveMember(ctx, "bob"); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.MemberRemoved, "alice", map[string]string{"userId": "bob"})
		return err
	})
	got, bob := get(t, s, g.ID, "bob")
	if bob != nil || got.MemberCount != 1 || got.Version != 6 || got.Revision != 1 {
		t.Errorf("bob %v, count %d, version %d, revision %d; want nobody, 1, 6, 1", bob, got.MemberCount, got.Version, got.Revision)
	}
	for name, fn := range map[string]func(tx group.Tx) error{
		"set":    func(tx group.Tx) error { return tx.SetMember(ctx, member("nobody")) },
		"remove": func(tx group.Tx) error { return tx.RemoveMember(ctx, "nobody") },
		"add":    func(tx group.Tx) error { return tx.AddMember(ctx, member("alice")) },
	} {
		if _, err := s.Change(ctx, g.ID, "", fn); err == nil {
			t.Errorf("%s: no error for a user who is not a member, or already is one", name)
		}
	}
}

// manyTime is the maximum time for adding as many members as one request can name. It
// usually takes a hundredth of this. A slower run is accepted if the first tenth was
// equally slow.
const manyTime = 10 * time.Second

func testManyMembers(t *testing.T, s Store) {
	const n = 250
	ctx := t.Context()
	var g group.Group
	var events []group.Event
	for tries := 1; ; tries++ { // retries, because a busy machine may be slow
		g = create(t, s)
		start, tenth := time.Now(), time.Duration(0)
		events = change(t, s, g.ID, func(tx group.Tx) error {
			for i := range n {
				if m, err := tx.Member(ctx, user(i)); m != nil || err != nil {
					return errors.Join(err, errors.New("a member before they joined"))
				}
				if err := join(ctx, user(i))(tx); err != nil {
					return err
				}
				if i == n/10-1 {
					tenth = time.Since(start)
				}
			}
			return nil
		})
		took := time.Since(start)
		t.Logf("%d members in %s, the first tenth in %s", n, took, tenth)
		if took <= manyTime || took <= 40*tenth {
			break
		}
		if tries == 3 {
			t.Errorf("%d members took %s, the first tenth of them %s", n, took, tenth)
			break
		}
	}
	withoutHoles(t, events, 1)
	got, last := get(t, s, g.ID, user(n-1))
	if got.MemberCount != n+1 || got.Version != n+1 || last == nil {
		t.Errorf("count %d, version %d, last %v; want %d, %d, a member", got.MemberCount, got.Version, last, n+1, n+1)
	}
	same(t, "the log", read(t, s, g.ID, 1, n+1).Events, events)
}

func testRollback(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	mine := errors.New("mine")
	everything := func(tx group.Tx) error {
		n := tx.Group()
		n.Name = "Other"
		return errors.Join(tx.SetGroup(ctx, n), join(ctx, "bob")(tx), tx.RemoveMember(ctx, "alice"), tx.Delete(ctx))
	}
	events, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error {
		if err := everything(tx); err != nil {
			t.Error(err)
		}
		return mine
	})
	if err != mine || events != nil { //nolint:errorlint // the contract requires this error, unwrapped
		t.Errorf("%d events, error %v; want none and the function's own", len(events), err)
	}
	func() {
		defer func() {
			if v := recover(); v != "mine" {
				t.Errorf("recovered %v", v)
			}
		}()
		_, _ = s.Change(ctx, g.ID, "", func(tx group.Tx) error {
			_ = everything(tx)
			panic("mine")
		})
		t.Error("the panic did not reach the caller of Change")
	}()
	got, alice := get(t, s, g.ID, "alice")
	same(t, "the group", got, g)
	if _, bob := get(t, s, g.ID, "bob"); alice == nil || bob != nil {
		t.Errorf("alice %v, bob %v; want only alice", alice, bob)
	}
	if page := read(t, s, g.ID, 0, 10); len(page.Events) != 1 {
		t.Errorf("the log holds %d events, want 1", len(page.Events))
	}
	withoutHoles(t, change(t, s, g.ID, post(ctx, 1)), 1)
}

func testVersions(t *testing.T, s Store) {
	const groups, writers, writes = 4, 6, 10
	ids := make([]string, groups)
	seen := make(map[string]map[int64]bool)
	for i := range ids {
		ids[i] = create(t, s).ID
		seen[ids[i]] = make(map[int64]bool)
	}
	var (
		all sync.WaitGroup
		mu  sync.Mutex // guards the sets in seen
	)
	for _, id := range ids {
		for range writers {
			all.Go(func() {
				for n := range writes {
					events, err := s.Change(t.Context(), id, "", post(t.Context(), n))
					if err != nil || len(events) != 1 {
						t.Errorf("%d events, %v", len(events), err)
						return
					}
					mu.Lock()
					if seen[id][events[0].Version] {
						t.Errorf("version %d of %s twice", events[0].Version, id)
					}
					seen[id][events[0].Version] = true
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	for _, id := range ids {
		page := read(t, s, id, 0, writers*writes+10)
		withoutHoles(t, page.Events, 0)
		if want := int64(writers*writes + 1); page.Group.Version != want || int64(len(page.Events)) != want {
			t.Errorf("version %d and %d events, want %d", page.Group.Version, len(page.Events), want)
		}
	}
}

func testCapacity(t *testing.T, s Store) {
	const seats, users = 10, 200
	ctx, full := t.Context(), errors.New("full")
	g := create(t, s, func(g *group.Group) { n := seats; g.Capacity = &n })
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		in  int
	)
	for i := range users {
		all.Go(func() {
			_, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error {
				if now := tx.Group(); now.MemberCount >= *now.Capacity {
					return full
				}
				return join(ctx, user(i))(tx)
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				in++
			case !errors.Is(err, full):
				t.Errorf("join: %v", err)
			}
		})
	}
	all.Wait()
	members, version, err := s.Members(ctx, g.ID, "", users)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := get(t, s, g.ID, "alice")
	if in != seats-1 || len(members) != seats || got.MemberCount != seats || version != seats || got.Version != seats {
		t.Errorf("%d joined, %d are listed, %d counted, version %d and %d; want %d seats taken",
			in, len(members), got.MemberCount, version, got.Version, seats)
	}
}

func testDelete(t *testing.T, s Store) {
	ctx := t.Context()
	g := create(t, s, func(g *group.Group) { g.Visibility = group.Public })
	events := change(t, s, g.ID, func(tx group.Tx) error {
		if err := tx.Delete(ctx); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
		return err
	})
	withoutHoles(t, events, 1)
	_, _, err := s.Group(ctx, g.ID, "alice")
	isNotFound(t, "Group", err)
	_, _, err = s.Members(ctx, g.ID, "", 10)
	isNotFound(t, "Members", err)
	_, err = s.Change(ctx, g.ID, "", post(ctx, 1))
	isNotFound(t, "Change", err)
	if public, err := s.PublicGroups(ctx, "", "", 10); len(public) != 0 || err != nil {
		t.Errorf("public groups: %v, %v", public, err)
	}
	if mine, err := s.UserGroups(ctx, "alice", "", 10); len(mine) != 0 || err != nil {
		t.Errorf("alice's groups: %v, %v", mine, err)
	}
	same(t, "what one reads, and several", read(t, s, g.ID, 0, 0, "alice"), read(t, s, g.ID, 0, 0, "alice", "bob"))
	page := read(t, s, g.ID, 0, 10, "alice")
	if !page.Deleted || page.Group.Version != 2 || page.First != 1 {
		t.Errorf("deleted %v, version %d, first %d; want true, 2, 1", page.Deleted, page.Group.Version, page.First)
	}
	same(t, "the log", page.Events[1:], events)
	heads, err := s.Heads(ctx, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "heads", heads, []group.Head{{GroupID: g.ID, Version: 2}})
}
