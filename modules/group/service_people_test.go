package group_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestIntroduce(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","visibility":"public"}`)
	introduce := func(body, want string) group.Member {
		t.Helper()
		m, err := b.Introduce(ctx, user("member"), g.ID, servicetest.Decode[dto.IntroduceRequest](t, body))
		servicetest.WantCode(t, body, err, want)
		return m
	}
	told := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.Take()); diff != "" {
			t.Errorf("announced: %s", diff)
		}
	}
	m := introduce(`{"name":" Mem\u0007ber ","profile":{"bio":"hi","links":{"a":1}}}`, "ok")
	if m.Name != "Member" || string(m.Profile) != `{"bio":"hi","links":{"a":1}}` || m.Role != group.MemberRole {
		t.Errorf("introduced as %+v", m)
	}
	event := b.Announced[0]
	if diff := cmp.Diff(m, servicetest.Decode[group.Member](t, string(event.Data))); diff != "" || *event.Actor != "member" {
		t.Errorf("announced %+v: %s", event, diff)
	}
	told("6 member.updated")
	stored, err := b.Member(ctx, alice, g.ID, "member")
	if diff := cmp.Diff(m, stored); diff != "" || err != nil {
		t.Errorf("stored: %v %s", err, diff)
	}
	introduce(`{"name":"Member","profile":{"bio":"hi"}}`, "ok")
	introduce(`{}`, "ok")
	told()
	if m := introduce(`{"profile":{"links":null}}`, "ok"); string(m.Profile) != `{"bio":"hi"}` || m.Name != "Member" {
		t.Errorf("patched to %+v", m)
	}
	if m := introduce(`{"profile":null}`, "ok"); m.Profile != nil {
		t.Errorf("emptied to %+v", m)
	}
	introduce(`{"profile":{}}`, "ok")
	told("7 member.updated", "8 member.updated")

	// A change by an admin keeps the values that the member has set.
	introduce(`{"profile":{"bio":"back"}}`, "ok")
	changed, err := b.UpdateMember(ctx, alice, g.ID, "member", servicetest.Decode[dto.UpdateMemberRequest](t, `{"attributes":{"team":1}}`))
	if err != nil || string(changed.Profile) != `{"bio":"back"}` || changed.Name != "Member" {
		t.Errorf("after an admin's change: %+v, %v", changed, err)
	}
	told("9 member.updated", "10 member.updated")

	full := strings.Repeat("x", 2<<10)
	for _, body := range []string{
		`{"name":null}`, `{"name":" "}`, `{"name":7}`, `{"name":"` + strings.Repeat("é", 129) + `"}`,
		`{"profile":[]}`, `{"profile":{"a":"` + full + `"}}`, `{"role":"admin"}`,
	} {
		introduce(body, "validation_failed")
	}
	request := servicetest.Decode[dto.IntroduceRequest](t, `{"name":"x"}`)
	_, err = b.Introduce(ctx, user("eve"), g.ID, request)
	servicetest.WantCode(t, "an outsider", err, "not_member")
	_, err = b.Introduce(ctx, backend, g.ID, request)
	servicetest.WantCode(t, "a back end that is no member", err, "not_member")
	told()
}

func TestNamesOfAddedMembers(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	added, err := b.AddMembers(ctx, backend, g.ID, servicetest.Decode[dto.AddMembersRequest](t, `{"userIds":["eve","fay","member"],"names":{"eve":" Eve ","member":"X"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range added.Items {
		got = append(got, m.UserID+"="+m.Name)
	}
	if diff := cmp.Diff([]string{"eve=Eve", "fay="}, got); diff != "" {
		t.Error(diff)
	}
	for body, want := range map[string]string{
		`{"userIds":["gus"],"names":{"hal":"Hal"}}`: "validation_failed",
		`{"userIds":["gus"],"names":{"gus":""}}`:    "validation_failed",
		`{"userIds":["gus"],"names":["Gus"]}`:       "validation_failed",
	} {
		_, err := b.AddMembers(ctx, backend, g.ID, servicetest.Decode[dto.AddMembersRequest](t, body))
		servicetest.WantCode(t, body, err, want)
	}
	_, err = b.AddMembers(ctx, alice, g.ID, servicetest.Decode[dto.AddMembersRequest](t, `{"userIds":["gus"],"names":{"gus":"Gus"}}`))
	servicetest.WantCode(t, "names that a user gives", err, "forbidden")
}

func TestCreateForAUser(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{LimitOwned: 2})
	ctx, bob := t.Context(), user("bob")
	create := func(caller auth.Identity, body, want string) group.Group {
		t.Helper()
		g, err := b.Create(ctx, caller, servicetest.Decode[dto.CreateRequest](t, body))
		servicetest.WantCode(t, body, err, want)
		return g
	}
	g := create(backend, `{"name":"g","ownerId":"bob","ownerName":" Bob "}`, "ok")
	if g.OwnerID != "bob" || g.MemberCount != 1 || *b.Announced[0].Actor != "backend" {
		t.Errorf("created %+v by %s", g, *b.Announced[0].Actor)
	}
	m, err := b.Member(ctx, bob, g.ID, "bob")
	if err != nil || m.Name != "Bob" || m.Role != group.Owner {
		t.Errorf("the owner is %+v, %v", m, err)
	}
	if _, err := b.Member(ctx, backend, g.ID, "backend"); servicetest.Code(err) != "not_found" {
		t.Errorf("the back end is a member: %v", err)
	}
	create(bob, `{"name":"own"}`, "ok")
	create(bob, `{"name":"one too many"}`, "limit_reached") // the groups that the back end created count
	create(backend, `{"name":"beyond the limit","ownerId":"bob"}`, "ok")

	for body, want := range map[string]string{
		`{"name":"x","ownerId":"alice"}`:                   "forbidden",
		`{"name":"x","ownerId":"bob"}`:                     "forbidden", // users may not name an owner, not even themselves
		`{"name":"x","ownerName":"B"}`:                     "validation_failed",
		`{"name":"x","ownerId":"a\u0000b"}`:                "validation_failed",
		`{"name":"x","ownerId":"b","ownerName":" \u0007"}`: "validation_failed",
	} {
		create(bob, body, want)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"private"}`)
	found, err := b.Find(ctx, backend, group.Filter{OwnerID: "alice"}, "", 10)
	if err != nil || len(found) != 1 || found[0].ID != g.ID {
		t.Errorf("a back end finds %+v, %v", found, err)
	}
	for _, c := range []struct {
		caller auth.Identity
		filter group.Filter
		want   string
	}{
		{alice, group.Filter{OwnerID: "alice"}, "forbidden"},
		{backend, group.Filter{OwnerID: "a\x00"}, "validation_failed"},
		{backend, group.Filter{Order: group.Active, Deleted: true}, "validation_failed"},
		{backend, group.Filter{Order: group.Largest, Deleted: true}, "validation_failed"},
		{alice, group.Filter{Attributes: map[string]string{"a": "b"}}, "forbidden"},
		{backend, group.Filter{Attributes: map[string]string{"a": strings.Repeat("é", 128)}}, "ok"},
		{backend, group.Filter{Attributes: map[string]string{"a": strings.Repeat("é", 129)}}, "validation_failed"},
		{backend, group.Filter{Attributes: map[string]string{"": "b"}}, "validation_failed"},
		{backend, group.Filter{Attributes: map[string]string{strings.Repeat("a", 129): "b"}}, "validation_failed"},
		{backend, group.Filter{Attributes: map[string]string{"a": "", "b": "", "c": "", "d": "", "e": ""}}, "ok"},
		{backend, group.Filter{Attributes: map[string]string{"a": "", "b": "", "c": "", "d": "", "e": "", "f": ""}}, "validation_failed"},
		{backend, group.Filter{Attributes: map[string]string{"a": "b"}, OwnerID: "alice"}, "ok"},
		{backend, group.Filter{Attributes: map[string]string{"a": "b"}, Deleted: true}, "validation_failed"},
		{backend, group.Filter{Attributes: map[string]string{"a": "b"}, Order: group.Largest}, "validation_failed"},
		{backend, group.Filter{Query: "x", Attributes: map[string]string{"a": "b"}}, "validation_failed"},
		{backend, group.Filter{Query: "x", OwnerID: "alice"}, "validation_failed"},
		{backend, group.Filter{Query: strings.Repeat("x", 201)}, "validation_failed"},
	} {
		_, err := b.Find(ctx, c.caller, c.filter, "", 10)
		servicetest.WantCode(t, c.caller.UserID, err, c.want)
	}
}
