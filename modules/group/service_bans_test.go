package group_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestBan(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open"}`)
	expires := b.Now.Add(time.Hour).Add(time.Nanosecond)
	req := dto.BanRequest{Reason: "spam", ExpiresAt: &expires}

	ban, err := b.Ban(ctx, user("admin"), g.ID, "member", req)
	if err != nil {
		t.Fatal(err)
	}
	until := expires.Truncate(time.Microsecond)
	want := group.Ban{UserID: "member", Reason: "spam", ExpiresAt: &until, Actor: "admin", At: b.Now.Truncate(time.Microsecond)}
	if diff := cmp.Diff(want, ban); diff != "" {
		t.Error(diff)
	}
	if len(b.Announced) != 1 || b.Announced[0].Type != group.MemberBanned || string(b.Announced[0].Data) != `{"userId":"member","reason":"spam"}` {
		t.Errorf("announced %+v", b.Announced)
	}
	b.Take()
	if after := b.Read(t, g.ID); after.MemberCount != g.MemberCount-1 {
		t.Errorf("%d members are left of %d", after.MemberCount, g.MemberCount)
	}
	again, err := b.Ban(ctx, alice, g.ID, "member", req)
	if diff := cmp.Diff(want, again); diff != "" || err != nil || b.Take() != nil {
		t.Errorf("a repeat: %v %s", err, diff)
	}
	listed, err := b.Bans(ctx, alice, g.ID, "", 10)
	if diff := cmp.Diff([]group.Ban{want}, listed); diff != "" || err != nil {
		t.Errorf("listed: %v %s", err, diff)
	}

	_, err = b.Join(ctx, user("member"), g.ID)
	servicetest.WantCode(t, "joining while banned", err, "banned")
	_, err = b.AddMembers(ctx, backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"new", "member"}})
	servicetest.WantCode(t, "adding a banned user", err, "banned")
	if fields := fault.From(err).Fields; len(fields) != 1 || fields[0].Field != "userIds[1]" {
		t.Errorf("the error names %v", fields)
	}
	_, err = b.Get(ctx, user("member"), g.ID)
	servicetest.WantCode(t, "reading a public group while banned", err, "ok")

	if _, err := b.Ban(ctx, alice, g.ID, "stranger", dto.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"7 member.banned"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	servicetest.WantCode(t, "lifting the ban", b.Unban(ctx, alice, g.ID, "stranger"), "ok")
	servicetest.WantCode(t, "lifting the ban again", b.Unban(ctx, alice, g.ID, "stranger"), "ok")
	servicetest.WantCode(t, "lifting the ban of an invalid user id", b.Unban(ctx, alice, g.ID, "\x00"), "ok")
	_, err = b.Join(ctx, user("stranger"), g.ID)
	servicetest.WantCode(t, "joining afterwards", err, "ok")

	b.Now = until
	if listed, err := b.Bans(ctx, alice, g.ID, "", 10); err != nil || len(listed) != 0 {
		t.Errorf("the expired ban is listed: %v, %v", listed, err)
	}
	_, err = b.Join(ctx, user("member"), g.ID)
	servicetest.WantCode(t, "joining after the ban has expired", err, "ok")
	_, err = b.Ban(ctx, alice, g.ID, "member", req)
	servicetest.WantCode(t, "banning until now", err, "validation_failed")
	_, err = b.Ban(ctx, alice, g.ID, "", dto.BanRequest{})
	servicetest.WantCode(t, "banning without a user id", err, "validation_failed")
}
