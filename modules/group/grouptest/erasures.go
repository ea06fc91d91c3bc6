package grouptest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testErasures(t *testing.T, s Store) {
	ctx := t.Context()
	set := func(id, userID string) string {
		t.Helper()
		got, err := s.SetErasure(ctx, id, userID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	claim := func() *group.Erasure {
		t.Helper()
		e, err := s.ClaimErasure(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	finish := func(e group.Erasure, want bool) {
		t.Helper()
		if done, err := s.FinishErasure(ctx, e); done != want || err != nil {
			t.Errorf("finished: %v, %v; want %v", done, err, want)
		}
	}
	_, err := s.Erasure(ctx, "1")
	isNotFound(t, "no job", err)
	if e := claim(); e != nil {
		t.Errorf("claimed %+v before there was a job", e)
	}
	set("1", "bob")
	if id := set("2", "bob"); id != "1" {
		t.Errorf("a repeat is job %s, want 1", id)
	}
	set("3", "carol")
	job := claim()
	if job == nil || job.ID != "1" || job.UserID != "bob" || time.Since(job.StartedAt).Abs() > time.Minute {
		t.Fatalf("claimed %+v", job)
	}
	if e := claim(); e == nil || e.ID != "3" {
		t.Errorf("claimed %+v, want the job of the other user", e)
	}
	if e := claim(); e != nil {
		t.Errorf("claimed %+v twice", e)
	}
	job.Stage, job.Place, job.Version = group.EraseLogs, "a group", 7
	if err := s.AdvanceErasure(ctx, *job, -time.Second); err != nil { // the claim has expired
		t.Fatal(err)
	}
	same(t, "the job continues at its last position", claim(), job)

	// A job is finished only when no group has data of the user.
	g := create(t, s)
	change(t, s, g.ID, join(ctx, "bob"))
	finish(*job, false)
	change(t, s, g.ID, func(tx group.Tx) error {
		if err := tx.RemoveMember(ctx, "bob"); err != nil {
			return err
		}
		if err := tx.CountErased(ctx, "1", group.Erased{GroupsLeft: 1, GroupsHandedOver: 2, GroupsEnded: 3, MessagesBlanked: 4, EventsBlanked: 5}); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.MemberLeft, "", map[string]string{"userId": "bob"})
		return err
	})
	finish(*job, false)
	blank(t, s, *job, g.ID)
	if done, err := s.ForgetIn(ctx, g.ID, "bob", 3); !done || err != nil {
		t.Fatalf("forgotten: %v, %v", done, err)
	}
	finish(*job, true)
	finish(*job, false)
	got, err := s.Erasure(ctx, "1")
	if err != nil || got.UserID != "" || got.FinishedAt == nil || got.FinishedAt.Before(got.StartedAt) {
		t.Errorf("the finished job is %+v, %v", got, err)
	}
	same(t, "counted", got.Erased, group.Erased{GroupsLeft: 1, GroupsHandedOver: 2, GroupsEnded: 3, MessagesBlanked: 4, EventsBlanked: 7})
	if err := s.AdvanceErasure(ctx, *job, -time.Second); err != nil {
		t.Error(err)
	}
	if e := claim(); e != nil {
		t.Errorf("claimed the finished job %+v", e)
	}
	if id := set("4", "bob"); id != "4" {
		t.Errorf("the same user again is job %s, want 4", id)
	}
}

// blank replaces the data of all events that concern the job's user.
func blank(t *testing.T, s Store, job group.Erasure, groupID string) {
	t.Helper()
	err := s.BlankEvents(t.Context(), job, groupID, 0, 1_000_000, func(context.Context, group.EventTx, group.Event) ([]byte, error) {
		return []byte(`{"n":"\u0000"}`), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testEraseLog(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	const bob = `b"o\b<>`
	change(t, s, g.ID, func(tx group.Tx) error { // events of alice: versions 2 to 1501, more than one query returns
		for n := range 1500 {
			if err := post(ctx, n)(tx); err != nil {
				return err
			}
		}
		return nil
	})
	change(t, s, g.ID, func(tx group.Tx) error { // version 1502: an event of bob
		m := group.Member{UserID: bob, Role: group.MemberRole, JoinedAt: at}
		if err := tx.AddMember(ctx, m); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.MemberJoined, bob, m)
		return err
	})
	change(t, s, g.ID, func(tx group.Tx) error { // version 1503: an event about bob
		_, err := tx.Append(ctx, group.MemberMuted, "alice", map[string]string{"userId": bob})
		return err
	})
	change(t, s, g.ID, func(tx group.Tx) error { // version 1504: a message of alice about bob
		_, err := tx.Append(ctx, group.MessagePosted, "alice", bob)
		return err
	})
	var counted []string
	for after, end := int64(0), false; !end; {
		var (
			found int
			err   error
		)
		if found, after, end, err = s.EventsAbout(ctx, g.ID, bob, after, 1); err != nil {
			t.Fatal(err)
		}
		counted = append(counted, fmt.Sprint(found, " to ", after))
	}
	same(t, "found", counted, []string{"0 to 1000", "1 to 1502", "1 to 1503", "0 to 1504"})

	job := group.Erasure{ID: "1", UserID: bob}
	if done, err := s.ForgetIn(ctx, g.ID, bob, 1502); done || err != nil {
		t.Errorf("forgotten before the log was blanked: %v, %v", done, err)
	}
	blank(t, s, job, g.ID)
	events := read(t, s, g.ID, 1501, 10).Events
	withoutHoles(t, events, 1501)
	for i, want := range []string{`{"n":"\u0000"}`, `{"n":"\u0000"}`, string(events[2].Data)} {
		if actor := events[i].Actor; string(events[i].Data) != want || (actor == nil) != (i == 0) {
			t.Errorf("event %d: actor %v, %s", events[i].Version, actor, events[i].Data)
		}
	}
	if done, err := s.ForgetIn(ctx, g.ID, bob, 1504); done || err != nil {
		t.Errorf("forgotten as a member: %v, %v", done, err)
	}
	if traced, err := s.TracedGroup(ctx, bob); traced != g.ID || err != nil {
		t.Errorf("traced in %q, %v", traced, err)
	}
	change(t, s, g.ID, func(tx group.Tx) error { return tx.Delete(ctx) })
	if done, err := s.ForgetIn(ctx, g.ID, bob, 1504); !done || err != nil {
		t.Errorf("forgotten in a deleted group: %v, %v", done, err)
	}
	if traced, err := s.TracedGroup(ctx, bob); traced != "" || err != nil {
		t.Errorf("still traced in %q, %v", traced, err)
	}
}

// testHeir checks who gets the group of an erased owner: the admin who joined first, or the
// member who joined first if there is no admin.
func testHeir(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	heir := func(want string) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) error {
			if got, err := tx.Heir(ctx, "alice"); got != want || err != nil {
				t.Errorf("the heir is %q, %v, want %q", got, err, want)
			}
			return nil
		})
	}
	heir("")
	for i, userID := range []string{"late", "first", "second", "admin-2", "admin-1"} {
		m := member(userID)
		m.JoinedAt = at.Add(time.Duration([]int{9, 1, 1, 6, 5}[i]) * time.Hour)
		change(t, s, g.ID, func(tx group.Tx) error {
			if err := tx.AddMember(ctx, m); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.MemberJoined, userID, m)
			return err
		})
	}
	heir("first")
	for _, userID := range []string{"admin-1", "admin-2"} {
		change(t, s, g.ID, func(tx group.Tx) error {
			m, err := tx.Member(ctx, userID)
			if err != nil {
				return err
			}
			m.Role = group.Admin
			if err := tx.SetMember(ctx, *m); err != nil {
				return err
			}
			_, err = tx.Append(ctx, group.MemberUpdated, "alice", *m)
			return err
		})
	}
	heir("admin-1")

	// The group has no owner for a while, and then gets a new one.
	change(t, s, g.ID, func(tx group.Tx) error {
		if err := tx.SetOwner(ctx, "", at); err != nil {
			return err
		}
		if err := tx.RemoveMember(ctx, "alice"); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.MemberLeft, "", struct{}{})
		return err
	})
	if got, _ := get(t, s, g.ID, ""); got.OwnerID != "" || got.Revision != got.Version {
		t.Errorf("without an owner: %+v", got)
	}
	change(t, s, g.ID, func(tx group.Tx) error {
		if err := tx.SetOwner(ctx, "late", at); err != nil {
			return err
		}
		_, err := tx.Append(ctx, group.OwnerTransferred, "", struct{}{})
		return err
	})
	if got, m := get(t, s, g.ID, "late"); got.OwnerID != "late" || m.Role != group.Owner {
		t.Errorf("with an owner again: %+v, %+v", got, m)
	}
}

// testForgetReceipts removes a user from receipts, in several steps.
func testForgetReceipts(t *testing.T, s Store) {
	ctx := t.Context()
	for _, r := range []group.Receipt{
		{UserID: "backend", Key: "1", Request: "r", Answer: []byte(`{"items":[{"userId":"bob"}]}`)},
		{UserID: "backend", Key: "2", Request: "r", Answer: []byte(`{"text":"bobby, and not bob"}`)},
		{UserID: "backend", Key: "add-bob", Request: "r", Answer: []byte(`{}`)},
		{UserID: "backend", Key: "bobby", Request: "r", Answer: []byte(`{}`)},
		{UserID: "bob", Key: "1", Request: "r", Answer: []byte(`{}`)},
		{UserID: "carol", Key: "1", Request: "r", Answer: []byte(`{"userId":"carol","role":"bob","attributes":{"userId":"bob","bob":["bob"]}}`)},
		{UserID: "carol", Key: "2", Request: "r", Answer: []byte(`{"id":"g","name":"bob","description":7,"ownerId":"bob"}`)},
		{UserID: "carol", Key: "3", Request: "r", Answer: []byte(`{"items":[],"invited":["dave","bob"]}`)},
		{UserID: "carol", Key: "4", Request: "r", Answer: []byte(`{"userId":"dave","reason":"bob","actor":"carol"}`)},
		{UserID: "carol", Key: "5", Request: "r", Answer: []byte(`{"userId":7,"createdBy":"bob"}`)},
	} {
		if err := s.Keep(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	for more, steps := true, 1; more; steps++ {
		var err error
		if more, err = s.ForgetReceipts(ctx, "bob", 2); err != nil {
			t.Fatal(err)
		}
		if more != (steps < 3) { // two answers, then two more, then none
			t.Errorf("after step %d: more is %t", steps, more)
			break
		}
	}
	for of, want := range map[[2]string]string{
		{"backend", "1"}: `null`, {"backend", "2"}: `{"text":"bobby, and not bob"}`, {"backend", "add-bob"}: `{}`, {"backend", "bobby"}: `{}`,
		{"bob", "1"}: "", {"carol", "1"}: `{"userId":"carol","role":"bob","attributes":{"userId":"bob","bob":["bob"]}}`,
		{"carol", "2"}: `null`, {"carol", "3"}: `null`, {"carol", "4"}: `{"userId":"dave","reason":"bob","actor":"carol"}`, {"carol", "5"}: `null`,
	} {
		r, err := s.Receipt(ctx, of[0], of[1])
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if r != nil {
			got = string(r.Answer)
		}
		if got != want {
			t.Errorf("the receipt of %v is %q, want %q", of, got, want)
		}
	}
}
