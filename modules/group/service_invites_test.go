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
)

func TestInvites(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{})
	ctx := t.Context()
	g := b.group(t, `{"name":"g"}`)
	two, until := 2, b.now.Add(time.Hour).Truncate(time.Microsecond)
	invite, err := b.Invite(ctx, user("admin"), g.ID, group.InviteRequest{MaxUses: &two, ExpiresAt: &until})
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(invite.Code); err != nil || len(raw) < 16 {
		t.Errorf("the code is %s", invite.Code)
	}
	if len(b.events) != 1 || b.events[0].Type != group.InviteCreated || string(b.events[0].Data) != `{"inviteId":"`+invite.InviteID+`"}` {
		t.Errorf("told of %+v", b.events)
	}
	b.take()
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
	if diff := cmp.Diff([]string{"7 member.joined"}, b.take()); diff != "" {
		t.Error(diff)
	}
	_, err = b.Accept(ctx, user("fay"), invite.Code)
	wantCode(t, "the second use", err, "ok")
	_, err = b.Accept(ctx, user("gus"), invite.Code)
	wantCode(t, "the third use", err, "invite_invalid")
	_, err = b.Accept(ctx, user("fay"), invite.Code)
	wantCode(t, "a repeat of the last use", err, "ok")
	if listed, err := b.Invites(ctx, alice, g.ID, "", 10); err != nil || len(listed) != 1 || listed[0].Uses != 2 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	b.take()

	wantCode(t, "revoking", b.Revoke(ctx, alice, g.ID, invite.InviteID), "ok")
	if len(b.events) != 1 || b.events[0].Type != group.InviteRevoked || string(b.events[0].Data) != `{"inviteId":"`+invite.InviteID+`"}` {
		t.Errorf("told of %+v", b.events)
	}
	wantCode(t, "revoking again", b.Revoke(ctx, alice, g.ID, invite.InviteID), "not_found")
}

// An invite that is good for nothing says nothing about its group.
func TestInvitesThatAreNoGood(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{})
	ctx := t.Context()
	seats := 4
	g := b.group(t, `{"name":"g","capacity":4}`)
	gone := b.group(t, `{"name":"gone"}`)
	make := func(groupID string, req group.InviteRequest) group.NewInvite {
		t.Helper()
		invite, err := b.Invite(ctx, alice, groupID, req)
		if err != nil {
			t.Fatal(err)
		}
		return invite
	}
	soon := b.now.Add(time.Minute)
	open, expired, revoked, deleted := make(g.ID, group.InviteRequest{}), make(g.ID, group.InviteRequest{ExpiresAt: &soon}),
		make(g.ID, group.InviteRequest{}), make(gone.ID, group.InviteRequest{})
	b.now = soon
	wantCode(t, "revoking", b.Revoke(ctx, alice, g.ID, revoked.InviteID), "ok")
	wantCode(t, "deleting", b.Delete(ctx, alice, gone.ID, nil), "ok")
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
	wantCode(t, "without a seat", err, "group_full")
	seats++
	if _, err := b.Update(ctx, alice, g.ID, nil, group.UpdateRequest{Capacity: &seats}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ban(ctx, alice, g.ID, "eve", group.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = b.Accept(ctx, user("eve"), open.Code)
	wantCode(t, "banned", err, "banned")
	if listed, err := b.Invites(ctx, alice, g.ID, "", 1); err != nil || listed[0].Uses != 0 {
		t.Errorf("refusals used the invite: %+v, %v", listed, err)
	}
}

// The last use of an invite lets exactly one in.
func TestInviteUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, st store) {
		b := newBenchOn(t, group.Config{}, st)
		g := b.group(t, `{"name":"g"}`)
		one := 1
		invite, err := b.Invite(t.Context(), alice, g.ID, group.InviteRequest{MaxUses: &one})
		if err != nil {
			t.Fatal(err)
		}
		b.take()
		var (
			wg    sync.WaitGroup
			in    atomic.Int64
			start = make(chan struct{})
		)
		for i := range 50 {
			wg.Go(func() {
				<-start
				switch _, err := b.Accept(t.Context(), user(fmt.Sprint("u", i)), invite.Code); code(err) {
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
		if after := b.read(t, g.ID); in.Load() != 1 || after.MemberCount != g.MemberCount+1 {
			t.Errorf("%d came in, %d members instead of %d", in.Load(), after.MemberCount, g.MemberCount+1)
		}
		if events := b.take(); len(events) != 1 {
			t.Errorf("told of %v", events)
		}
	})
}

func TestInvitesOverHTTP(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.group(t, `{"name":"g"}`)
	path := "/groups/" + g.ID + "/invites"
	made := d.do(t, alice, "POST", path, "")
	if made.status != 201 {
		t.Fatalf("%d %s", made.status, made.body)
	}
	invite := decode[group.NewInvite](t, made.body)
	if want := fmt.Sprintf(`{"inviteId":%q,"uses":0,"createdAt":"2026-11-23T10:00:00.123456Z","createdBy":"alice","code":%q}`,
		invite.InviteID, invite.Code); made.body != want {
		t.Errorf("made %s, want %s", made.body, want)
	}
	bounded := d.do(t, alice, "POST", path, `{"maxUses":3,"expiresAt":"2026-11-24T10:00:00Z"}`)
	if !strings.Contains(bounded.body, `"maxUses":3,"uses":0,"expiresAt":"2026-11-24T10:00:00Z"`) {
		t.Errorf("made %s", bounded.body)
	}
	for _, s := range []struct{ method, path, want string }{
		{"POST", "/invites/" + invite.Code + "/accept", `200 {"userId":"eve","name":"EVE","role":"member"`},
		{"POST", "/invites/" + invite.Code + "/accept", `200 {"userId":"eve"`},
		{"GET", path, `403 "code":"forbidden"`},
		{"DELETE", path + "/" + invite.InviteID, `403 "code":"forbidden"`},
	} {
		status, part, _ := strings.Cut(s.want, " ")
		if got := d.do(t, user("eve"), s.method, s.path, ""); fmt.Sprint(got.status) != status || !strings.Contains(got.body, part) {
			t.Errorf("%s %s: %d %s, want %s", s.method, s.path, got.status, got.body, s.want)
		}
	}
	listed := d.do(t, alice, "GET", path+"?limit=1", "")
	if strings.Contains(listed.body, "code") || !strings.Contains(listed.body, `"maxUses":3`) || !strings.Contains(listed.body, `"nextCursor"`) {
		t.Errorf("listed %s", listed.body)
	}
	if got := d.do(t, alice, "DELETE", path+"/"+invite.InviteID, ""); got.status != 204 {
		t.Errorf("revoked: %d %s", got.status, got.body)
	}
	if got := d.do(t, user("fay"), "POST", "/invites/"+invite.Code+"/accept", ""); got.problem(t) != "410 invite_invalid" {
		t.Errorf("accepting what was revoked: %s", got.body)
	}
}

// A group has so many invites that are good for something, and no more.
func TestInvitesAreBounded(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, st store) {
		b := newBenchOn(t, group.Config{}, st)
		ctx, soon := t.Context(), b.now.Add(time.Minute)
		g, other := b.group(t, `{"name":"g"}`), b.group(t, `{"name":"other"}`)
		_, err := st.Change(ctx, g.ID, func(tx group.Tx) error {
			for i := range 998 {
				invite := group.Invite{InviteID: fmt.Sprint("i", i), CreatedBy: "alice"}
				if err := tx.AddInvite(ctx, invite, fmt.Sprint("h", i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ok", "ok", "limit_reached"} {
			_, err := b.Invite(ctx, backend, g.ID, group.InviteRequest{ExpiresAt: &soon})
			wantCode(t, "inviting", err, want)
		}
		_, err = b.Invite(ctx, alice, other.ID, group.InviteRequest{})
		wantCode(t, "inviting to another group", err, "ok")
		b.now = soon // two are over
		for _, want := range []string{"ok", "ok", "limit_reached"} {
			_, err := b.Invite(ctx, alice, g.ID, group.InviteRequest{})
			wantCode(t, "inviting when two have expired", err, want)
		}
	})
}
