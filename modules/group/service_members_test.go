package group_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open","capacity":5}`)

	joined, err := b.Join(ctx, user("eve"), g.ID)
	if err != nil {
		t.Fatal(err)
	}
	if joined.Role != group.MemberRole || joined.Name != "EVE" || string(joined.Attributes) != "{}" {
		t.Errorf("joined as %+v", joined)
	}
	again, err := b.Join(ctx, user("eve"), g.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(joined, again); diff != "" {
		t.Errorf("a repeat returns another answer: %s", diff)
	}
	if diff := cmp.Diff([]string{"6 member.joined"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	if g := b.Read(t, g.ID); g.MemberCount != 5 || g.Version != 6 {
		t.Errorf("after it: %+v", g)
	}
	_, err = b.Join(ctx, user("late"), g.ID)
	servicetest.WantCode(t, "joining a full group", err, "group_full")
	_, err = b.Join(ctx, user("eve"), g.ID)
	servicetest.WantCode(t, "repeating a join of a group that is full now", err, "ok")

	for policy, want := range map[string]string{"request": "ok", "invite": "invite_required"} {
		other := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"`+policy+`"}`)
		_, err := b.Join(ctx, user("eve"), other.ID)
		servicetest.WantCode(t, "joining by "+policy, err, want)
		_, err = b.Join(ctx, backend, other.ID)
		servicetest.WantCode(t, "a back end joining by "+policy, err, "ok")
	}
}

func TestCapacityUnderConcurrentJoins(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open","capacity":50}`)
	var (
		wg        sync.WaitGroup
		in, full  atomic.Int64
		start     = make(chan struct{})
		ctx, seat = t.Context(), 50 - g.MemberCount
	)
	for i := range 200 {
		wg.Go(func() {
			<-start
			who := user(fmt.Sprintf("u%d", i/2)) // each user twice, concurrently
			err := servicetest.Insist(func() error { _, err := b.Join(ctx, who, g.ID); return err })
			switch servicetest.Code(err) {
			case "ok":
				in.Add(1)
			case "group_full":
				full.Add(1)
			default:
				t.Errorf("%s: %v", who.UserID, err)
			}
		})
	}
	close(start)
	wg.Wait()
	after := b.Read(t, g.ID)
	members, version, err := b.Members(ctx, alice, g.ID, "", 200)
	if err != nil {
		t.Fatal(err)
	}
	if after.MemberCount != 50 || len(members) != 50 || after.Version != g.Version+int64(seat) || version != after.Version {
		t.Errorf("%d seats taken by %d members at version %d (%d)", after.MemberCount, len(members), after.Version, version)
	}
	if in.Load() < int64(seat) || in.Load() > int64(2*seat) || in.Load()+full.Load() != 200 {
		t.Errorf("%d joins succeeded, and %d found the group full", in.Load(), full.Load())
	}
	// There may be fewer events: a caller that gave up before the commit does not announce
	// its event. The relay does.
	if events := b.Take(); len(events) > seat {
		t.Errorf("%d events announced for %d seats", len(events), seat)
	}
}

func TestLimitOfMembers(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{LimitMembers: 5})
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open"}`)
	_, err := b.AddMembers(t.Context(), backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"x", "y"}})
	servicetest.WantCode(t, "adding beyond the limit", err, "limit_reached")
	_, err = b.Join(t.Context(), user("eve"), g.ID)
	servicetest.WantCode(t, "taking the last seat", err, "ok")
	_, err = b.Join(t.Context(), user("late"), g.ID)
	servicetest.WantCode(t, "joining beyond the limit", err, "limit_reached")
}

func TestAddMembersAllOrNothing(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{Add: group.AddDirect})
	g := b.NewGroup(t, `{"name":"g","capacity":6}`)
	add := func(ids ...string) ([]string, int64, error) {
		added, err := b.AddMembers(t.Context(), user("admin"), g.ID, dto.AddMembersRequest{UserIDs: ids})
		who := []string{}
		for _, m := range added.Items {
			who = append(who, m.UserID)
		}
		return who, added.Version, err
	}
	_, _, err := add("x", "member", "y", "z")
	servicetest.WantCode(t, "adding three users to two seats", err, "group_full")
	if after := b.Read(t, g.ID); after.MemberCount != 4 || after.Version != g.Version {
		t.Errorf("the refused call changed the group: %+v", after)
	}
	if events := b.Take(); events != nil {
		t.Errorf("announced %v", events)
	}
	added, version, err := add("x", "member", "y", "x")
	if err != nil || version != g.Version+2 {
		t.Fatalf("version %d, %v", version, err)
	}
	if diff := cmp.Diff([]string{"x", "y"}, added); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"6 member.joined", "7 member.joined"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	added, version, err = add("x", "y")
	if err != nil || version != g.Version+2 || len(added) != 0 || b.Take() != nil {
		t.Errorf("adding members again: %v, %d, %v", added, version, err)
	}
	_, _, err = add()
	servicetest.WantCode(t, "adding nobody", err, "validation_failed")
}

func TestMembers(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)

	page, version, err := b.Members(ctx, user("member"), g.ID, "admin", 2)
	if err != nil || version != g.Version || len(page) != 2 || page[0].UserID != "alice" || page[1].UserID != "member" || page[0].Status != "" {
		t.Errorf("%+v at %d, %v", page, version, err)
	}

	changed, err := b.UpdateMember(ctx, alice, g.ID, "member", servicetest.Decode[dto.UpdateMemberRequest](t, `{"attributes":{"seat":{"row":1}},"role":"admin"}`))
	if err != nil || changed.Role != group.Admin || string(changed.Attributes) != `{"seat":{"row":1}}` {
		t.Errorf("%+v, %v", changed, err)
	}
	same, err := b.UpdateMember(ctx, alice, g.ID, "member", servicetest.Decode[dto.UpdateMemberRequest](t, `{"attributes":{"seat":{"row":1}},"role":"admin"}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(changed, same); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"6 member.updated"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	read, err := b.Member(ctx, user("other"), g.ID, "member")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(changed, read); diff != "" {
		t.Error(diff)
	}
	_, err = b.UpdateMember(ctx, alice, g.ID, "member", dto.UpdateMemberRequest{Attributes: json.RawMessage(`7`)})
	servicetest.WantCode(t, "attributes that are no object", err, "validation_failed")
	for _, id := range []string{"nobody", "", "a\x00b"} {
		_, err = b.Member(ctx, alice, g.ID, id)
		servicetest.WantCode(t, fmt.Sprintf("reading member %q", id), err, "not_found")
	}

	if err := b.RemoveMember(ctx, user("admin"), g.ID, "other", false); err != nil {
		t.Fatal(err)
	}
	if len(b.Announced) != 1 || b.Announced[0].Type != group.MemberRemoved || string(b.Announced[0].Data) != `{"userId":"other"}` || *b.Announced[0].Actor != "admin" {
		t.Errorf("announced %+v", b.Announced)
	}
	b.Take()
	if err := b.Leave(ctx, user("admin"), g.ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"8 member.left"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	servicetest.WantCode(t, "leaving a private group again", b.Leave(ctx, user("admin"), g.ID), "not_found")
	if g := b.Read(t, g.ID); g.MemberCount != 2 {
		t.Errorf("%d members are left", g.MemberCount)
	}
}
