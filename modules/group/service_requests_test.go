package group_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestRequests(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"request","capacity":5}`)
	ask := func(id string) {
		t.Helper()
		if joined, err := b.Join(ctx, user(id), g.ID); err != nil || joined.Member != nil || !joined.Requested() {
			t.Errorf("%s asked: %+v, %v", id, joined, err)
		}
	}
	told := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.Take()); diff != "" {
			t.Errorf("announced: %s", diff)
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
	if len(b.Announced) != 4 || string(b.Announced[0].Data) != `{"userId":"eve"}` || *b.Announced[0].Actor != "eve" {
		t.Errorf("announced %+v", b.Announced)
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
	servicetest.WantCode(t, "approving without a seat", err, "group_full")
	told()
	servicetest.WantCode(t, "rejecting", b.Reject(ctx, alice, g.ID, "fay"), "ok")
	told("12 request.rejected")
	servicetest.WantCode(t, "rejecting again", b.Reject(ctx, alice, g.ID, "fay"), "not_found")
	ask("fay")
	told("13 request.created")

	// The requests of users who are added or banned in other ways end.
	waiting("fay FAY", "gus GUS", "hal HAL")
	if _, err := b.Ban(ctx, alice, g.ID, "fay", dto.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(ctx, alice, g.ID, nil, servicetest.Decode[dto.UpdateRequest](t, `{"capacity":null,"joinPolicy":"open"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddMembers(ctx, alice, g.ID, dto.AddMembersRequest{UserIDs: []string{"gus"}}); err != nil {
		t.Fatal(err)
	}
	if joined, err := b.Join(ctx, user("hal"), g.ID); err != nil || joined.Requested() {
		t.Errorf("joining an open group: %+v, %v", joined, err)
	}
	waiting()
	for _, id := range []string{"gus", "hal"} {
		servicetest.WantCode(t, "leaving", b.Leave(ctx, user(id), g.ID), "ok")
	}
	waiting()
	_, err = b.Join(ctx, user("fay"), g.ID)
	servicetest.WantCode(t, "requesting to join while banned", err, "banned")
}

func TestWithdrawnRequests(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx, eve := t.Context(), user("eve")
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"request"}`)
	sent := func(want ...group.SentRequest) {
		t.Helper()
		got, err := b.SentRequests(ctx, eve, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]group.SentRequest{}, want...), got); diff != "" {
			t.Errorf("requests of eve: %s", diff)
		}
	}
	told := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.Take()); diff != "" {
			t.Errorf("announced: %s", diff)
		}
	}
	if _, err := b.Join(ctx, eve, g.ID); err != nil {
		t.Fatal(err)
	}
	told("6 request.created")
	at := b.Now.UTC().Truncate(time.Microsecond)
	sent(group.SentRequest{GroupID: g.ID, GroupName: "g", At: at})

	// The group becomes private. Its name is hidden, but the request can still be
	// withdrawn.
	private := servicetest.Decode[dto.UpdateRequest](t, `{"visibility":"private"}`)
	if _, err := b.Update(ctx, alice, g.ID, nil, private); err != nil {
		t.Fatal(err)
	}
	sent(group.SentRequest{GroupID: g.ID, At: at})
	b.Take()
	servicetest.WantCode(t, "another outsider withdraws", b.Withdraw(ctx, user("fay"), g.ID), "not_found")
	servicetest.WantCode(t, "withdrawing", b.Withdraw(ctx, eve, g.ID), "ok")
	if len(b.Announced) != 1 || string(b.Announced[0].Data) != `{"userId":"eve"}` || *b.Announced[0].Actor != "eve" {
		t.Errorf("announced %+v", b.Announced)
	}
	told("8 request.withdrawn")
	sent()
	servicetest.WantCode(t, "withdrawing again, from outside", b.Withdraw(ctx, eve, g.ID), "not_found")

	public := servicetest.Decode[dto.UpdateRequest](t, `{"visibility":"public"}`)
	if _, err := b.Update(ctx, alice, g.ID, nil, public); err != nil {
		t.Fatal(err)
	}
	b.Take()
	for _, id := range []string{"eve", "member", "alice"} {
		servicetest.WantCode(t, id+" withdraws nothing", b.Withdraw(ctx, user(id), g.ID), "ok")
	}
	told()
	_, err := b.Approve(ctx, alice, g.ID, "eve")
	servicetest.WantCode(t, "approving a withdrawn request", err, "not_found")
}
