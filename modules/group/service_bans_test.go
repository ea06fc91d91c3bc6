package group_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestBan(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{})
	ctx := t.Context()
	g := b.group(t, `{"name":"g","visibility":"public","joinPolicy":"open"}`)
	expires := b.now.Add(time.Hour).Add(time.Nanosecond)
	req := group.BanRequest{Reason: "spam", ExpiresAt: &expires}

	ban, err := b.Ban(ctx, user("admin"), g.ID, "member", req)
	if err != nil {
		t.Fatal(err)
	}
	until := expires.Truncate(time.Microsecond)
	want := group.Ban{UserID: "member", Reason: "spam", ExpiresAt: &until, Actor: "admin", At: b.now.Truncate(time.Microsecond)}
	if diff := cmp.Diff(want, ban); diff != "" {
		t.Error(diff)
	}
	if len(b.events) != 1 || b.events[0].Type != group.MemberBanned || string(b.events[0].Data) != `{"userId":"member","reason":"spam"}` {
		t.Errorf("told of %+v", b.events)
	}
	b.take()
	if after := b.read(t, g.ID); after.MemberCount != g.MemberCount-1 {
		t.Errorf("%d members are left of %d", after.MemberCount, g.MemberCount)
	}
	again, err := b.Ban(ctx, alice, g.ID, "member", req)
	if diff := cmp.Diff(want, again); diff != "" || err != nil || b.take() != nil {
		t.Errorf("a repeat: %v %s", err, diff)
	}
	listed, err := b.Bans(ctx, alice, g.ID, "", 10)
	if diff := cmp.Diff([]group.Ban{want}, listed); diff != "" || err != nil {
		t.Errorf("listed: %v %s", err, diff)
	}

	_, err = b.Join(ctx, user("member"), g.ID)
	wantCode(t, "joining while banned", err, "banned")
	_, err = b.AddMembers(ctx, backend, g.ID, group.AddMembersRequest{UserIDs: []string{"new", "member"}})
	wantCode(t, "adding who is banned", err, "banned")
	if fields := fault.From(err).Fields; len(fields) != 1 || fields[0].Field != "userIds[1]" {
		t.Errorf("names %v", fields)
	}
	_, err = b.Get(ctx, user("member"), g.ID)
	wantCode(t, "reading a public group while banned", err, "ok")

	if _, err := b.Ban(ctx, alice, g.ID, "stranger", group.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"7 member.banned"}, b.take()); diff != "" {
		t.Error(diff)
	}
	wantCode(t, "lifting it", b.Unban(ctx, alice, g.ID, "stranger"), "ok")
	wantCode(t, "lifting it again", b.Unban(ctx, alice, g.ID, "stranger"), "ok")
	wantCode(t, "lifting nobody's", b.Unban(ctx, alice, g.ID, "\x00"), "ok")
	_, err = b.Join(ctx, user("stranger"), g.ID)
	wantCode(t, "joining afterwards", err, "ok")

	b.now = until
	if listed, err := b.Bans(ctx, alice, g.ID, "", 10); err != nil || len(listed) != 0 {
		t.Errorf("after its time it is listed: %v, %v", listed, err)
	}
	_, err = b.Join(ctx, user("member"), g.ID)
	wantCode(t, "joining after its time", err, "ok")
	_, err = b.Ban(ctx, alice, g.ID, "member", req)
	wantCode(t, "banning until now", err, "validation_failed")
	_, err = b.Ban(ctx, alice, g.ID, "", group.BanRequest{})
	wantCode(t, "banning no id", err, "validation_failed")
}

// Who is banned gets the event that says so as the last one.
func TestBannedOverSockets(t *testing.T) {
	t.Parallel()
	st, mesh := openStore(t), adapter.NewMesh()
	one, two := newNode(t, st, mesh), newNode(t, st, mesh)
	bob := two.dial(t, "bob")
	g, err := one.Create(t.Context(), alice, group.CreateRequest{Name: "g", Visibility: group.Public, JoinPolicy: group.JoinOpen})
	if err != nil {
		t.Fatal(err)
	}
	here := `{"groupId":"` + g.ID + `"}`
	bob.call("group:join", here)
	bob.call("group:subscribe", here)
	if _, err := one.Ban(t.Context(), alice, g.ID, "bob", group.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	bob.wantNext("group:event 3 member.banned", `group:closed {"groupId":"`+g.ID+`","reason":"banned"}`)
	if got := bob.call("group:join", here); got != "error: banned" {
		t.Errorf("joining: %s", got)
	}
}
