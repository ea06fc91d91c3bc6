package group_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{})
	ctx := t.Context()
	g := b.group(t, `{"name":"g","visibility":"public","joinPolicy":"request","capacity":5}`)
	ask := func(id string) {
		t.Helper()
		if joined, err := b.Join(ctx, user(id), g.ID); err != nil || joined.Member != nil || !joined.Requested() {
			t.Errorf("%s asked: %+v, %v", id, joined, err)
		}
	}
	told := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.take()); diff != "" {
			t.Errorf("told of: %s", diff)
		}
	}
	waiting := func(want ...string) {
		t.Helper()
		applicants, err := b.Applicants(ctx, user("admin"), g.ID, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range applicants {
			got = append(got, a.UserID+" "+a.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("waiting: %s", diff)
		}
	}
	for _, id := range []string{"eve", "eve", "fay", "gus", "hal"} {
		ask(id)
	}
	if len(b.events) != 4 || string(b.events[0].Data) != `{"userId":"eve"}` || *b.events[0].Actor != "eve" {
		t.Errorf("told of %+v", b.events)
	}
	told("6 request.created", "7 request.created", "8 request.created", "9 request.created")
	waiting("eve EVE", "fay FAY", "gus GUS", "hal HAL")
	if joined, err := b.Join(ctx, user("member"), g.ID); err != nil || joined.Member == nil {
		t.Errorf("a member joining again: %+v, %v", joined, err)
	}

	m, err := b.Approve(ctx, user("admin"), g.ID, "eve")
	if err != nil || m.UserID != "eve" || m.Name != "EVE" || m.Role != group.MemberRole {
		t.Errorf("approved %+v, %v", m, err)
	}
	told("10 request.approved", "11 member.joined")
	again, err := b.Approve(ctx, alice, g.ID, "eve")
	if diff := cmp.Diff(m, again); diff != "" || err != nil {
		t.Errorf("approved again: %v %s", err, diff)
	}
	_, err = b.Approve(ctx, alice, g.ID, "fay")
	wantCode(t, "approving without a seat", err, "group_full")
	told()
	wantCode(t, "rejecting", b.Reject(ctx, alice, g.ID, "fay"), "ok")
	told("12 request.rejected")
	wantCode(t, "rejecting again", b.Reject(ctx, alice, g.ID, "fay"), "not_found")
	ask("fay")
	told("13 request.created")

	// Who comes in or is banned some other way asks no longer.
	waiting("fay FAY", "gus GUS", "hal HAL")
	if _, err := b.Ban(ctx, alice, g.ID, "fay", group.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(ctx, alice, g.ID, nil, decode[group.UpdateRequest](t, `{"capacity":null,"joinPolicy":"open"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddMembers(ctx, alice, g.ID, group.AddMembersRequest{UserIDs: []string{"gus"}}); err != nil {
		t.Fatal(err)
	}
	if joined, err := b.Join(ctx, user("hal"), g.ID); err != nil || joined.Requested() {
		t.Errorf("joining an open group: %+v, %v", joined, err)
	}
	waiting()
	for _, id := range []string{"gus", "hal"} {
		wantCode(t, "leaving", b.Leave(ctx, user(id), g.ID), "ok")
	}
	waiting()
	_, err = b.Join(ctx, user("fay"), g.ID)
	wantCode(t, "asking while banned", err, "banned")
}

func TestRequestsOverSockets(t *testing.T) {
	t.Parallel()
	n := newNode(t, openStore(t), adapter.NewMesh())
	g, err := n.Create(t.Context(), alice, group.CreateRequest{Name: "g", Visibility: group.Public, JoinPolicy: group.JoinRequest})
	if err != nil {
		t.Fatal(err)
	}
	here := `{"groupId":"` + g.ID + `"}`
	bob, watching := n.dial(t, "bob"), n.dial(t, "alice")
	watching.call("group:subscribe", here)
	for range 2 {
		if got := bob.call("group:join", here); got != `{"status":"requested"}` {
			t.Errorf("joining: %s", got)
		}
	}
	if _, err := n.Approve(t.Context(), alice, g.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	watching.wantNext("group:event 2 request.created", "group:event 3 request.approved", "group:event 4 member.joined")
	member, err := n.Member(t.Context(), alice, g.ID, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(member, decode[group.Member](t, bob.call("group:join", here))); diff != "" {
		t.Errorf("joining as a member: %s", diff)
	}
}
