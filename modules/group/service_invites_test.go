package group_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestInvites(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	two, until := 2, b.Now.Add(time.Hour).Truncate(time.Microsecond)
	invite, err := b.Invite(ctx, user("admin"), g.ID, dto.InviteRequest{MaxUses: &two, ExpiresAt: &until})
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(invite.Code); err != nil || len(raw) < 16 {
		t.Errorf("the code is %s", invite.Code)
	}
	if len(b.Announced) != 1 || b.Announced[0].Type != group.InviteCreated || string(b.Announced[0].Data) != `{"inviteId":"`+invite.InviteID+`"}` {
		t.Errorf("announced %+v", b.Announced)
	}
	b.Take()
	listed, err := b.Invites(ctx, alice, g.ID, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]group.Invite{invite.Invite}, listed); diff != "" {
		t.Error(diff)
	}
	if text, err := json.Marshal(listed); err != nil || strings.Contains(string(text), "code") {
		t.Errorf("%s, %v", text, err)
	}

	m, err := b.Accept(ctx, user("eve"), invite.Code)
	if err != nil || m.UserID != "eve" || m.Name != "EVE" || m.Role != group.MemberRole {
		t.Errorf("accepted as %+v, %v", m, err)
	}
	for range 2 {
		again, err := b.Accept(ctx, user("eve"), invite.Code)
		if diff := cmp.Diff(m, again); diff != "" || err != nil {
			t.Errorf("accepted again: %v, %s", err, diff)
		}
	}
	if diff := cmp.Diff([]string{"7 member.joined"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	_, err = b.Accept(ctx, user("fay"), invite.Code)
	servicetest.WantCode(t, "the second use", err, "ok")
	_, err = b.Accept(ctx, user("gus"), invite.Code)
	servicetest.WantCode(t, "the third use", err, "invite_invalid")
	_, err = b.Accept(ctx, user("fay"), invite.Code)
	servicetest.WantCode(t, "a repeat of the last use", err, "ok")
	if listed, err := b.Invites(ctx, alice, g.ID, "", 10); err != nil || len(listed) != 1 || listed[0].Uses != 2 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	b.Take()

	servicetest.WantCode(t, "revoking", b.Revoke(ctx, alice, g.ID, invite.InviteID), "ok")
	if len(b.Announced) != 1 || b.Announced[0].Type != group.InviteRevoked || string(b.Announced[0].Data) != `{"inviteId":"`+invite.InviteID+`"}` {
		t.Errorf("announced %+v", b.Announced)
	}
	servicetest.WantCode(t, "revoking again", b.Revoke(ctx, alice, g.ID, invite.InviteID), "not_found")
}

// TestInvitesThatAreNoGood checks that an invalid invite does not reveal anything about its
// group.
func TestInvitesThatAreNoGood(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	seats := 4
	g := b.NewGroup(t, `{"name":"g","capacity":4}`)
	gone := b.NewGroup(t, `{"name":"gone"}`)
	make := func(groupID string, req dto.InviteRequest) group.NewInvite {
		t.Helper()
		invite, err := b.Invite(ctx, alice, groupID, req)
		if err != nil {
			t.Fatal(err)
		}
		return invite
	}
	soon := b.Now.Add(time.Minute)
	open, expired, revoked, deleted := make(g.ID, dto.InviteRequest{}), make(g.ID, dto.InviteRequest{ExpiresAt: &soon}),
		make(g.ID, dto.InviteRequest{}), make(gone.ID, dto.InviteRequest{})
	b.Now = soon
	servicetest.WantCode(t, "revoking", b.Revoke(ctx, alice, g.ID, revoked.InviteID), "ok")
	servicetest.WantCode(t, "deleting", b.Delete(ctx, alice, gone.ID, nil), "ok")
	for name, code := range map[string]string{
		"expired": expired.Code, "revoked": revoked.Code, "deleted": deleted.Code, "wrong": "x", "empty": "", "no text": "\xff\x00",
		"an id": open.InviteID,
	} {
		_, err := b.Accept(ctx, user("eve"), code)
		if e, ok := errors.AsType[*fault.Error](err); !ok || !sameFault(e, group.ErrInviteInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := b.Accept(ctx, user("eve"), open.Code)
	servicetest.WantCode(t, "without a seat", err, "group_full")
	seats++
	if _, err := b.Update(ctx, alice, g.ID, nil, dto.UpdateRequest{Capacity: &seats}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ban(ctx, alice, g.ID, "eve", dto.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = b.Accept(ctx, user("eve"), open.Code)
	servicetest.WantCode(t, "banned", err, "banned")
	if listed, err := b.Invites(ctx, alice, g.ID, "", 1); err != nil || listed[0].Uses != 0 {
		t.Errorf("refusals used the invite: %+v, %v", listed, err)
	}
}

// TestInviteUnderConcurrentUse checks that the last use of an invite admits exactly one
// user.
func TestInviteUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, func(t *testing.T, st grouptest.Store) {
		b := servicetest.NewOn(group.Config{}, st)
		g := b.NewGroup(t, `{"name":"g"}`)
		one := 1
		invite, err := b.Invite(t.Context(), alice, g.ID, dto.InviteRequest{MaxUses: &one})
		if err != nil {
			t.Fatal(err)
		}
		b.Take()
		var (
			wg    sync.WaitGroup
			in    atomic.Int64
			start = make(chan struct{})
		)
		for i := range 50 {
			wg.Go(func() {
				<-start
				err := servicetest.Insist(func() error {
					_, err := b.Accept(t.Context(), user(fmt.Sprint("u", i)), invite.Code)
					return err
				})
				switch servicetest.Code(err) {
				case "ok":
					in.Add(1)
				case "invite_invalid":
				default:
					t.Errorf("accept: %v", err)
				}
			})
		}
		close(start)
		wg.Wait()
		if after := b.Read(t, g.ID); in.Load() != 1 || after.MemberCount != g.MemberCount+1 {
			t.Errorf("%d users joined, and the group has %d members, want %d", in.Load(), after.MemberCount, g.MemberCount+1)
		}
		if events := b.Take(); len(events) != 1 {
			t.Errorf("announced %v", events)
		}
	})
}

// TestInvitesAreBounded checks the limit on a group's valid invites.
func TestInvitesAreBounded(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, func(t *testing.T, st grouptest.Store) {
		b := servicetest.NewOn(group.Config{}, st)
		ctx, soon := t.Context(), b.Now.Add(time.Minute)
		g, other := b.NewGroup(t, `{"name":"g"}`), b.NewGroup(t, `{"name":"other"}`)
		var err error
		for first := 0; first < 998 && err == nil; first += 25 { // in several changes, so that each fits into the deadline on a busy machine
			_, err = st.Change(ctx, g.ID, "", func(tx group.Tx) error {
				for i := first; i < min(first+25, 998); i++ {
					invite := group.Invite{InviteID: fmt.Sprint("i", i), CreatedBy: "alice"}
					if err := tx.AddInvite(ctx, invite, fmt.Sprint("h", i)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ok", "ok", "limit_reached"} {
			_, err := b.Invite(ctx, backend, g.ID, dto.InviteRequest{ExpiresAt: &soon})
			servicetest.WantCode(t, "inviting", err, want)
		}
		_, err = b.Invite(ctx, alice, other.ID, dto.InviteRequest{})
		servicetest.WantCode(t, "inviting to another group", err, "ok")
		b.Now = soon // two invites have expired
		for _, want := range []string{"ok", "ok", "limit_reached"} {
			_, err := b.Invite(ctx, alice, g.ID, dto.InviteRequest{})
			servicetest.WantCode(t, "inviting when two have expired", err, want)
		}
	})
}
