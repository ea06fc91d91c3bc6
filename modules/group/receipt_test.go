package group_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// TestRepeatedUnderKey makes every call twice with the same key. Without the key, the
// second call would fail or do something else.
func TestRepeatedUnderKey(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","joinPolicy":"request","visibility":"public"}`)
	gone := b.NewGroup(t, `{"name":"gone"}`)
	invite, err := b.Invite(ctx, alice, g.ID, servicetest.Decode[dto.InviteRequest](t, `{"maxUses":1}`))
	if err != nil {
		t.Fatal(err)
	}
	message, err := b.Post(ctx, user("member"), g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)})
	if err != nil {
		t.Fatal(err)
	}
	join := func(who auth.Identity) {
		t.Helper()
		if _, err := b.Join(ctx, who, g.ID); err != nil {
			t.Fatal(err)
		}
	}
	join(user("asks"))
	join(user("hopes"))
	one := 1
	for _, c := range []struct {
		name string
		do   func(ctx context.Context) (any, error)
	}{
		{"create", func(ctx context.Context) (any, error) {
			return b.Create(ctx, alice, servicetest.Decode[dto.CreateRequest](t, `{"name":"n", "attributes":{"a": 1}, "endsAt":"2027-01-01T00:00:00.123456789Z"}`))
		}},
		{"update", func(ctx context.Context) (any, error) {
			return b.Update(ctx, alice, g.ID, nil, dto.UpdateRequest{Attributes: json.RawMessage(`{"b":2}`)})
		}},
		{"join", func(ctx context.Context) (any, error) { return b.Join(ctx, user("new"), g.ID) }},
		{"invite", func(ctx context.Context) (any, error) {
			return b.Invite(ctx, alice, g.ID, dto.InviteRequest{MaxUses: &one})
		}},
		{"accept", func(ctx context.Context) (any, error) { return b.Accept(ctx, user("guest"), invite.Code) }},
		{"approve", func(ctx context.Context) (any, error) { return b.Approve(ctx, alice, g.ID, "asks") }},
		{"reject", func(ctx context.Context) (any, error) { return nil, b.Reject(ctx, alice, g.ID, "hopes") }},
		{"add", func(ctx context.Context) (any, error) {
			return b.AddMembers(ctx, backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"x", "y"}})
		}},
		{"add by invitation", func(ctx context.Context) (any, error) {
			return b.AddMembers(ctx, alice, g.ID, dto.AddMembersRequest{UserIDs: []string{"x", "z"}})
		}},
		{"accept the invitation", func(ctx context.Context) (any, error) { return b.AcceptInvitation(ctx, user("z"), g.ID) }},
		{"post", func(ctx context.Context) (any, error) {
			return b.Post(ctx, alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`{"<": 1}`)})
		}},
		{"edit", func(ctx context.Context) (any, error) {
			return b.EditMessage(ctx, user("member"), g.ID, message.Version, dto.EditMessageRequest{Data: json.RawMessage(`{"<": 2}`)})
		}},
		{"delete a message", func(ctx context.Context) (any, error) {
			return b.DeleteMessage(ctx, alice, g.ID, message.Version)
		}},
		{"signal", func(ctx context.Context) (any, error) {
			return nil, b.Signal(ctx, alice, g.ID, group.SignalSource{}, dto.SignalRequest{Type: "wave"})
		}},
		{"ban", func(ctx context.Context) (any, error) { return b.Ban(ctx, alice, g.ID, "x", dto.BanRequest{}) }},
		{"mute", func(ctx context.Context) (any, error) { return b.Mute(ctx, alice, g.ID, "y", dto.MuteRequest{}) }},
		{"unmute", func(ctx context.Context) (any, error) { return nil, b.Unmute(ctx, alice, g.ID, "y") }},
		{"remove", func(ctx context.Context) (any, error) { return nil, b.RemoveMember(ctx, alice, g.ID, "y", false) }},
		{"revoke", func(ctx context.Context) (any, error) { return nil, b.Revoke(ctx, alice, g.ID, invite.InviteID) }},
		{"leave", func(ctx context.Context) (any, error) { return nil, b.Leave(ctx, user("other"), g.ID) }},
		{"transfer", func(ctx context.Context) (any, error) {
			return b.Transfer(ctx, backend, g.ID, nil, dto.TransferRequest{UserID: "member"})
		}},
		{"offer", func(ctx context.Context) (any, error) {
			return b.Transfer(ctx, user("member"), g.ID, nil, dto.TransferRequest{UserID: "admin"})
		}},
		{"accept the ownership", func(ctx context.Context) (any, error) { return b.AcceptOwner(ctx, user("admin"), g.ID) }},
		{"delete", func(ctx context.Context) (any, error) { return nil, b.Delete(ctx, alice, gone.ID, nil) }},
	} {
		b.Take()
		keyed := group.WithKey(ctx, "key of "+c.name)
		first, err := c.do(keyed)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if told := len(b.Take()); told == 0 && c.name != "signal" {
			t.Errorf("%s announced nothing", c.name)
		}
		again, err := c.do(keyed)
		if err != nil {
			t.Errorf("%s again: %v", c.name, err)
		}
		if diff := cmp.Diff(inJSON(t, first), inJSON(t, again)); diff != "" {
			t.Errorf("%s again returns another answer:\n%s", c.name, diff)
		}
		if events := b.Take(); events != nil {
			t.Errorf("%s again announced %v", c.name, events)
		}
		_, err = b.Post(group.WithKey(ctx, "key of "+c.name), alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`"another"`)})
		// Keys of users are separate. So alice may use a key under which another user made
		// the first call.
		notAlice := []string{"edit", "join", "accept", "leave", "transfer", "offer", "accept the ownership", "add", "accept the invitation"}
		if !slices.Contains(notAlice, c.name) && !wantMismatch(err) {
			t.Errorf("another request under the key of %s: %v", c.name, err)
		}
	}
	if len(b.Signals) != 1 {
		t.Errorf("%d signals were sent", len(b.Signals))
	}
}

func wantMismatch(err error) bool {
	return err != nil && fault.From(err).Code == "idempotency_mismatch"
}

func inJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestARepeatNeedsThePermission repeats calls of users who have lost the permission. They
// must get the same error as without the key.
func TestARepeatNeedsThePermission(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g","joinPolicy":"open","visibility":"public"}`)
	keyed := group.WithKey(t.Context(), "k")
	bob, carol := user("bob"), user("carol")
	for _, who := range []auth.Identity{bob, carol} {
		if _, err := b.Join(t.Context(), who, g.ID); err != nil {
			t.Fatal(err)
		}
	}
	role := func(who auth.Identity, role group.Role) {
		t.Helper()
		text := string(role)
		if _, err := b.UpdateMember(t.Context(), alice, g.ID, who.UserID, dto.UpdateMemberRequest{Role: &text}); err != nil {
			t.Fatal(err)
		}
	}
	role(carol, group.Admin)
	post := func(who auth.Identity) error {
		_, err := b.Post(keyed, who, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)})
		return err
	}
	join := func(who auth.Identity) error {
		_, err := b.Join(group.WithKey(t.Context(), "join"), who, g.ID)
		return err
	}
	invite := func(who auth.Identity) error {
		_, err := b.Invite(keyed, who, g.ID, dto.InviteRequest{})
		return err
	}
	expect := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	expect("post", post(bob), nil)
	expect("join", join(bob), nil)
	expect("invite", invite(carol), nil)
	expect("a repeat", post(bob), nil)
	expect("a user with the id of a back end", post(auth.Identity{UserID: "bob", Admin: true}), group.ErrIdempotencyMismatch)
	role(carol, group.MemberRole)
	expect("the invite of a member who was an admin", invite(carol), fault.ErrForbidden)
	if _, err := b.Ban(t.Context(), alice, g.ID, "bob", dto.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	expect("the message of a banned user", post(bob), group.ErrNotMember)
	expect("the joining of a banned user", join(bob), group.ErrBanned)
}

func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open","capacity":4}`)
	ctx := group.WithKey(t.Context(), "k")
	_, err := b.Join(ctx, user("new"), g.ID)
	servicetest.WantCode(t, "joining a full group", err, "group_full")
	if err := b.Leave(t.Context(), user("other"), g.ID); err != nil {
		t.Fatal(err)
	}
	if joined, err := b.Join(ctx, user("new"), g.ID); err != nil || joined.Member == nil {
		t.Errorf("with a seat: %+v, %v", joined, err)
	}
	for _, key := range []string{strings.Repeat("k", 256), "a\nb", "\xff"} {
		_, err := b.Post(group.WithKey(t.Context(), key), alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)})
		servicetest.WantCode(t, fmt.Sprintf("the key %.10q", key), err, "validation_failed")
	}
}

// TestTwinsUnderKey sends the same call with the same key many times at once. It must be
// made once.
func TestTwinsUnderKey(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	ctx := group.WithKey(t.Context(), "k")
	answers := make([]string, 30)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			posted, err := b.Post(ctx, alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`"once"`)})
			answers[i] = fmt.Sprint(posted.Version, err)
		})
	}
	all.Wait()
	want := fmt.Sprint(g.Version+1, nil)
	for _, got := range answers {
		if got != want {
			t.Errorf("a twin was answered %s, want %s", got, want)
		}
	}
	if events := b.Take(); len(events) != 1 {
		t.Errorf("announced %v", events)
	}
}
