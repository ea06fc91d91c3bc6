package group_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

func TestLimitsOfUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{LimitOwned: 2, LimitJoined: 3})
	ctx := t.Context()
	create := func(who auth.Identity, joinPolicy group.JoinPolicy) (group.Group, error) {
		return b.Create(ctx, who, group.CreateRequest{Name: "g", Visibility: group.Public, JoinPolicy: joinPolicy})
	}
	open, err := create(alice, group.JoinOpen)
	wantCode(t, "the first group", err, "ok")
	asked, err := create(alice, group.JoinRequest)
	wantCode(t, "the second group", err, "ok")
	_, err = create(alice, group.JoinOpen)
	wantCode(t, "the third group", err, "limit_reached")
	for range 3 {
		_, err = create(backend, group.JoinOpen)
		wantCode(t, "a back end's group", err, "ok")
	}

	for _, want := range []string{"ok", "limit_reached"} {
		g, err := create(user("eve"), group.JoinOpen)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Join(ctx, alice, g.ID)
		wantCode(t, "joining one more", err, want)
	}
	// Alice is in three now: by no way into another one.
	other, err := create(user("fay"), group.JoinOpen)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Join(ctx, alice, other.ID)
	wantCode(t, "joining", err, "limit_reached")
	_, err = b.AddMembers(ctx, user("fay"), other.ID, group.AddMembersRequest{UserIDs: []string{"new", "alice"}})
	wantCode(t, "being added", err, "limit_reached")
	if fields := fault.From(err).Fields; len(fields) != 1 || fields[0].Field != "userIds[1]" {
		t.Errorf("names %v", fields)
	}
	invite, err := b.Invite(ctx, user("fay"), other.ID, group.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Accept(ctx, alice, invite.Code)
	wantCode(t, "accepting an invite", err, "limit_reached")
	_, err = b.AddMembers(ctx, backend, other.ID, group.AddMembersRequest{UserIDs: []string{"alice"}})
	wantCode(t, "being added by a back end", err, "ok")
	_, err = b.Join(ctx, alice, other.ID)
	wantCode(t, "joining where she is in", err, "ok")

	for _, id := range []string{"gus", "hal"} {
		_, err = b.Join(ctx, user(id), asked.ID)
		wantCode(t, "asking", err, "ok")
	}
	for range 3 {
		g, err := create(backend, group.JoinOpen)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Join(ctx, user("gus"), g.ID)
		wantCode(t, "joining", err, "ok")
	}
	_, err = b.Approve(ctx, alice, asked.ID, "gus")
	wantCode(t, "approving who is in too many", err, "limit_reached")
	_, err = b.Approve(ctx, alice, asked.ID, "hal")
	wantCode(t, "approving another one", err, "ok")

	_, err = b.Join(ctx, user("ida"), open.ID)
	wantCode(t, "joining", err, "ok")
	for range 2 {
		_, err = create(user("ida"), group.JoinOpen)
		wantCode(t, "creating", err, "ok")
	}
	_, err = b.Transfer(ctx, alice, open.ID, nil, group.TransferRequest{UserID: "ida"})
	wantCode(t, "handing over to who owns too many", err, "limit_reached")
	_, err = b.Transfer(ctx, backend, open.ID, nil, group.TransferRequest{UserID: "ida"})
	wantCode(t, "a back end handing over", err, "ok")
	wantCode(t, "deleting", b.Delete(ctx, alice, asked.ID, nil), "ok")
	_, err = create(user("hal"), group.JoinOpen)
	wantCode(t, "creating", err, "ok")
}

// However a user's creates and joins meet, they have what they may and no more.
func TestLimitsUnderConcurrency(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, st store) {
		const owned, joined, tries = 3, 10, 20
		b := newBenchOn(t, group.Config{LimitOwned: owned, LimitJoined: joined}, st)
		ctx := t.Context()
		var ids, codes []string
		for range tries {
			g, err := b.Create(ctx, backend, group.CreateRequest{Name: "g", Visibility: group.Public, JoinPolicy: group.JoinOpen})
			if err != nil {
				t.Fatal(err)
			}
			invite, err := b.Invite(ctx, backend, g.ID, group.InviteRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Join(ctx, user("admin"+g.ID), g.ID); err != nil {
				t.Fatal(err)
			}
			role := group.Admin
			if _, err := b.UpdateMember(ctx, backend, g.ID, "admin"+g.ID, group.UpdateMemberRequest{Role: &role}); err != nil {
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
				if err := fn(); code(err) != "ok" && code(err) != "limit_reached" {
					t.Error(err)
				}
			})
		}
		for i := range tries {
			try(func() error {
				_, err := b.Create(ctx, alice, group.CreateRequest{Name: fmt.Sprint(i)})
				if err == nil {
					made.Add(1)
				}
				return err
			})
			try(func() error { _, err := b.Join(ctx, alice, ids[i]); return err })
			try(func() error { _, err := b.Accept(ctx, alice, codes[i]); return err })
			try(func() error {
				_, err := b.AddMembers(ctx, user("admin"+ids[i]), ids[i], group.AddMembersRequest{UserIDs: []string{"zoe", "alice", "bob"}})
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
