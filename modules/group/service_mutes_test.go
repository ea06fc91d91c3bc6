package group_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// needSpeech checks the results of posting, editing, signaling and deleting.
func needSpeech(t *testing.T, b *servicetest.Bench, who auth.Identity, groupID string, message int64, want string) {
	t.Helper()
	ctx := t.Context()
	_, err := b.Post(ctx, who, groupID, dto.MessageRequest{Data: json.RawMessage(`1`)})
	servicetest.WantCode(t, "posting", err, want)
	_, err = b.EditMessage(ctx, who, groupID, message, edit(`2`))
	servicetest.WantCode(t, "editing", err, want)
	servicetest.WantCode(t, "signalling", b.Signal(ctx, who, groupID, group.SignalSource{}, dto.SignalRequest{Type: "wave"}), want)
}

func TestMute(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, testMute)
}

func testMute(t *testing.T, st grouptest.Store) {
	b := servicetest.NewOn(group.Config{}, st)
	ctx, bob := t.Context(), user("member")
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open"}`)
	message := postAs(t, b, "member", g.ID, `0`)
	expires := b.Now.Add(time.Hour).Add(time.Nanosecond)
	req := dto.MuteRequest{ExpiresAt: &expires}
	b.Take()

	mute, err := b.Mute(ctx, user("admin"), g.ID, "member", req)
	until := expires.Truncate(time.Microsecond)
	want := group.Mute{UserID: "member", ExpiresAt: &until, Actor: "admin", At: b.Now.Truncate(time.Microsecond)}
	if diff := cmp.Diff(want, mute); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if len(b.Announced) != 1 || b.Announced[0].Type != group.MemberMuted || string(b.Announced[0].Data) != `{"userId":"member","expiresAt":"2026-11-23T11:00:00.123456Z"}` {
		t.Errorf("announced %+v", b.Announced)
	}
	b.Take()
	again, err := b.Mute(ctx, alice, g.ID, "member", req)
	if diff := cmp.Diff(want, again); diff != "" || err != nil || b.Take() != nil {
		t.Errorf("a repeat: %v %s", err, diff)
	}
	needSpeech(t, b, bob, g.ID, message, "muted")
	needMuted := func(want bool) {
		t.Helper()
		listed, _, err := b.Members(ctx, user("other"), g.ID, "alice", 1)
		one, err1 := b.Member(ctx, alice, g.ID, "member")
		self, err2 := b.Member(ctx, bob, g.ID, "member")
		if err != nil || err1 != nil || err2 != nil || len(listed) != 1 {
			t.Fatal(err, err1, err2, listed)
		}
		for _, m := range []group.Member{one, self} {
			if m.Muted != want || (m.MutedUntil != nil) != want {
				t.Errorf("the member is %+v, want muted: %v", m, want)
			}
		}
	}
	needMuted(true)

	if err := b.Leave(ctx, bob, g.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(ctx, bob, g.ID); err != nil {
		t.Fatal(err)
	}
	needSpeech(t, b, bob, g.ID, message, "muted")
	_, err = b.DeleteMessage(ctx, bob, g.ID, postAs(t, b, "alice", g.ID, `1`))
	servicetest.WantCode(t, "deleting another member's message", err, "forbidden")
	now := b.Now
	b.Now = until
	needSpeech(t, b, bob, g.ID, message, "ok")
	needMuted(false)
	b.Take()
	servicetest.WantCode(t, "lifting an expired mute", b.Unmute(ctx, alice, g.ID, "member"), "ok")
	if got := b.Take(); got != nil {
		t.Errorf("announced %v", got)
	}

	b.Now = now
	if _, err := b.Mute(ctx, backend, g.ID, "member", dto.MuteRequest{}); err != nil {
		t.Fatal(err)
	}
	b.Now = now.Add(1000 * time.Hour)
	needSpeech(t, b, bob, g.ID, message, "muted")
	_, err = b.DeleteMessage(ctx, bob, g.ID, message)
	servicetest.WantCode(t, "deleting their own message", err, "ok")
	b.Take()
	for range 2 {
		servicetest.WantCode(t, "lifting the mute", b.Unmute(ctx, alice, g.ID, "member"), "ok")
	}
	if len(b.Announced) != 1 || b.Announced[0].Type != group.MemberUnmuted || string(b.Announced[0].Data) != `{"userId":"member"}` {
		t.Errorf("announced %+v", b.Announced)
	}
	needSpeech(t, b, bob, g.ID, postAs(t, b, "member", g.ID, `1`), "ok")
}

// TestMuteBindsThoseWhoComeBack checks that a mute still applies when a user leaves and
// joins again, in any way. The event of the join must contain the mute.
func TestMuteBindsThoseWhoComeBack(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, func(t *testing.T, st grouptest.Store) {
		b := servicetest.NewOn(group.Config{}, st)
		ctx, bob := t.Context(), user("member")
		for name, enter := range map[string]func(groupID string) error{
			"joining": func(id string) error { return second(b.Join(ctx, bob, id)) },
			"added": func(id string) error {
				return second(b.AddMembers(ctx, backend, id, dto.AddMembersRequest{UserIDs: []string{"member"}}))
			},
			"invited": func(id string) error {
				_, err := b.AddMembers(ctx, alice, id, dto.AddMembersRequest{UserIDs: []string{"member"}})
				return errors.Join(err, second(b.AcceptInvitation(ctx, bob, id)))
			},
			"by a code": func(id string) error {
				invite, err := b.Invite(ctx, alice, id, dto.InviteRequest{})
				return errors.Join(err, second(b.Accept(ctx, bob, invite.Code)))
			},
			"approved": func(id string) error {
				_, err := b.Update(ctx, alice, id, nil, servicetest.Decode[dto.UpdateRequest](t, `{"joinPolicy":"request"}`))
				return errors.Join(err, second(b.Join(ctx, bob, id)), second(b.Approve(ctx, alice, id, "member")))
			},
		} {
			g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open"}`)
			for _, expires := range []time.Duration{0, time.Hour, -time.Hour} {
				was := b.Now
				var req dto.MuteRequest
				if expires != 0 {
					req.ExpiresAt = new(b.Now.Add(expires.Abs()))
				}
				if _, err := b.Mute(ctx, alice, g.ID, "member", req); err != nil {
					t.Fatal(err)
				}
				if err := b.Leave(ctx, bob, g.ID); err != nil {
					t.Fatal(err)
				}
				if expires < 0 { // the mute has expired
					b.Now = *req.ExpiresAt
				}
				b.Take()
				if err := enter(g.ID); err != nil {
					t.Fatal(name, err)
				}
				events := b.TakeEvents()
				told := servicetest.Decode[group.Member](t, string(events[len(events)-1].Data))
				if told.Muted != (expires >= 0) || (told.MutedUntil != nil) != (expires > 0) {
					t.Errorf("%s, after a mute for %s: announced %s", name, expires, events[len(events)-1].Data)
				}
				b.Now = was
			}
		}
	})
}

func TestWhoMutes(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	past := b.Now.Add(-time.Second)
	for _, c := range []struct {
		who, target  string
		mute, unmute string
	}{
		{"member", "other", "forbidden", "forbidden"},
		{"admin", "admin", "forbidden", "forbidden"},
		{"admin", "alice", "forbidden", "forbidden"},
		{"stranger", "member", "not_found", "not_found"},
		{"admin", "stranger", "not_found", "ok"},
		{"admin", "\x00", "not_found", "ok"},
		{"alice", "admin", "ok", "ok"},
		{"admin", "other", "ok", "ok"},
	} {
		_, err := b.Mute(ctx, user(c.who), g.ID, c.target, dto.MuteRequest{})
		servicetest.WantCode(t, c.who+" mutes "+c.target, err, c.mute)
		servicetest.WantCode(t, c.who+" unmutes "+c.target, b.Unmute(ctx, user(c.who), g.ID, c.target), c.unmute)
	}
	_, err := b.Mute(ctx, alice, g.ID, "member", dto.MuteRequest{ExpiresAt: &past})
	servicetest.WantCode(t, "muting until before now", err, "validation_failed")
	if _, err := b.Mute(ctx, alice, g.ID, "admin", dto.MuteRequest{}); err != nil {
		t.Fatal(err)
	}
	servicetest.WantCode(t, "an admin lifts their own mute", b.Unmute(ctx, user("admin"), g.ID, "admin"), "forbidden")
}

func TestPosting(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","posting":"admins"}`)
	if g.Posting != group.PostingAdmins {
		t.Errorf("posting: %s", g.Posting)
	}
	update := func(body string) error {
		_, err := b.Update(ctx, user("admin"), g.ID, nil, servicetest.Decode[dto.UpdateRequest](t, body))
		return err
	}
	servicetest.WantCode(t, "null", update(`{"posting":null}`), "validation_failed")
	servicetest.WantCode(t, "an unknown rule", update(`{"posting":"nobody"}`), "validation_failed")
	_, err := b.Create(ctx, alice, dto.CreateRequest{Name: "n", Posting: "nobody"})
	servicetest.WantCode(t, "creating with an unknown rule", err, "validation_failed")

	servicetest.WantCode(t, "members", update(`{"posting":"members"}`), "ok")
	if e := b.TakeEvents(); len(e) != 1 || string(e[0].Data) != `{"posting":"members"}` {
		t.Errorf("announced %+v", e)
	}
	servicetest.WantCode(t, "members again", update(`{"posting":"members"}`), "ok")
	if got := b.Take(); got != nil {
		t.Errorf("announced %v", got)
	}
	message := postAs(t, b, "member", g.ID, `1`)
	needSpeech(t, b, user("member"), g.ID, message, "ok")
	servicetest.WantCode(t, "admins", update(`{"posting":"admins"}`), "ok")
	needSpeech(t, b, user("member"), g.ID, message, "forbidden")
	for _, who := range []auth.Identity{user("admin"), alice, backend} {
		needSpeech(t, b, who, g.ID, message, "ok")
	}
	_, err = b.DeleteMessage(ctx, user("member"), g.ID, message)
	servicetest.WantCode(t, "deleting their own message", err, "ok")
}
