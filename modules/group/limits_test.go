package group_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestLimitsOfUsers(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{LimitOwned: 2, LimitJoined: 3, Add: group.AddDirect})
	ctx := t.Context()
	create := func(who auth.Identity, joinPolicy group.JoinPolicy) (group.Group, error) {
		return b.Create(ctx, who, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: string(joinPolicy)})
	}
	open, err := create(alice, group.JoinOpen)
	servicetest.WantCode(t, "the first group", err, "ok")
	asked, err := create(alice, group.JoinRequest)
	servicetest.WantCode(t, "the second group", err, "ok")
	_, err = create(alice, group.JoinOpen)
	servicetest.WantCode(t, "the third group", err, "limit_reached")
	for range 3 {
		_, err = create(backend, group.JoinOpen)
		servicetest.WantCode(t, "a back end's group", err, "ok")
	}

	for _, want := range []string{"ok", "limit_reached"} {
		g, err := create(user("eve"), group.JoinOpen)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Join(ctx, alice, g.ID)
		servicetest.WantCode(t, "joining one more", err, want)
	}
	// Alice is in three groups now. No way into a fourth one may work.
	other, err := create(user("fay"), group.JoinOpen)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Join(ctx, alice, other.ID)
	servicetest.WantCode(t, "joining", err, "limit_reached")
	_, err = b.AddMembers(ctx, user("fay"), other.ID, dto.AddMembersRequest{UserIDs: []string{"new", "alice"}})
	servicetest.WantCode(t, "being added", err, "limit_reached")
	if fields := fault.From(err).Fields; len(fields) != 1 || fields[0].Field != "userIds[1]" {
		t.Errorf("the error names %v", fields)
	}
	invite, err := b.Invite(ctx, user("fay"), other.ID, dto.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Accept(ctx, alice, invite.Code)
	servicetest.WantCode(t, "accepting an invite", err, "limit_reached")
	_, err = b.AddMembers(ctx, backend, other.ID, dto.AddMembersRequest{UserIDs: []string{"alice"}})
	servicetest.WantCode(t, "being added by a back end", err, "ok")
	_, err = b.Join(ctx, alice, other.ID)
	servicetest.WantCode(t, "joining a group that she is a member of", err, "ok")

	for _, id := range []string{"gus", "hal"} {
		_, err = b.Join(ctx, user(id), asked.ID)
		servicetest.WantCode(t, "requesting to join", err, "ok")
	}
	for range 3 {
		g, err := create(backend, group.JoinOpen)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Join(ctx, user("gus"), g.ID)
		servicetest.WantCode(t, "joining", err, "ok")
	}
	_, err = b.Approve(ctx, alice, asked.ID, "gus")
	servicetest.WantCode(t, "approving a user who is in too many groups", err, "limit_reached")
	_, err = b.Approve(ctx, alice, asked.ID, "hal")
	servicetest.WantCode(t, "approving another one", err, "ok")

	_, err = b.Join(ctx, user("ida"), open.ID)
	servicetest.WantCode(t, "joining", err, "ok")
	for range 2 {
		_, err = create(user("ida"), group.JoinOpen)
		servicetest.WantCode(t, "creating", err, "ok")
	}
	offers(t, b, open.ID, "ida")
	_, err = b.AcceptOwner(ctx, user("ida"), open.ID)
	servicetest.WantCode(t, "accepting one group too many", err, "limit_reached")
	_, err = create(alice, group.JoinOpen)
	servicetest.WantCode(t, "creating while one is offered", err, "limit_reached")
	_, err = b.Transfer(ctx, backend, open.ID, nil, dto.TransferRequest{UserID: "ida"})
	servicetest.WantCode(t, "a back end handing over", err, "ok")
	_, err = create(alice, group.JoinOpen)
	servicetest.WantCode(t, "creating a group in place of the one that was handed over", err, "limit_reached")
	servicetest.WantCode(t, "deleting", b.Delete(ctx, alice, asked.ID, nil), "ok")
	_, err = create(user("hal"), group.JoinOpen)
	servicetest.WantCode(t, "creating", err, "ok")
}

// TestLimitsUnderConcurrency checks that concurrent creates and joins of a user fill the
// limits exactly and never exceed them.
func TestLimitsUnderConcurrency(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, func(t *testing.T, st grouptest.Store) {
		const owned, joined, tries = 3, 10, 20
		b := servicetest.NewOn(group.Config{LimitOwned: owned, LimitJoined: joined, Add: group.AddDirect}, st)
		ctx := t.Context()
		var ids, codes []string
		for range tries {
			g, err := b.Create(ctx, backend, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open"})
			if err != nil {
				t.Fatal(err)
			}
			invite, err := b.Invite(ctx, backend, g.ID, dto.InviteRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Join(ctx, user("admin"+g.ID), g.ID); err != nil {
				t.Fatal(err)
			}
			role := "admin"
			if _, err := b.UpdateMember(ctx, backend, g.ID, "admin"+g.ID, dto.UpdateMemberRequest{Role: &role}); err != nil {
				t.Fatal(err)
			}
			ids, codes = append(ids, g.ID), append(codes, invite.Code)
		}
		var (
			wg    sync.WaitGroup
			made  atomic.Int64
			start = make(chan struct{})
		)
		try := func(fn func() error) {
			wg.Go(func() {
				<-start
				if err := servicetest.Insist(fn); servicetest.Code(err) != "ok" && servicetest.Code(err) != "limit_reached" {
					t.Error(err)
				}
			})
		}
		for i := range tries {
			try(func() error {
				_, err := b.Create(ctx, alice, dto.CreateRequest{Name: fmt.Sprint(i)})
				if err == nil {
					made.Add(1)
				}
				return err
			})
			try(func() error { _, err := b.Join(ctx, alice, ids[i]); return err })
			try(func() error { _, err := b.Accept(ctx, alice, codes[i]); return err })
			try(func() error {
				_, err := b.AddMembers(ctx, user("admin"+ids[i]), ids[i], dto.AddMembersRequest{UserIDs: []string{"zoe", "alice", "bob"}})
				return err
			})
		}
		close(start)
		wg.Wait()
		mine, err := b.ListMine(ctx, alice, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(mine) != joined || made.Load() > owned {
			t.Errorf("alice is in %d groups and made %d; want %d, and at most %d", len(mine), made.Load(), joined, owned)
		}
	})
}
