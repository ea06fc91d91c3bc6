package group_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// TestWhatTheGatekeeperIsNotAsked makes calls that need no question: the rules refuse them,
// or a back end or an admin makes them.
func TestWhatTheGatekeeperIsNotAsked(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	b := servicetest.NewGuarded(t, group.Config{Add: group.AddDirect}, k)
	one := 1
	newGroup := func(req dto.CreateRequest) string {
		t.Helper()
		req.OwnerID = "alice"
		g, err := b.Create(t.Context(), backend, req)
		if err != nil {
			t.Fatal(err)
		}
		return g.ID
	}
	open := newGroup(dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open"})
	request := newGroup(dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "request"})
	full := newGroup(dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open", Capacity: &one})
	invite := newGroup(dto.CreateRequest{Name: "g", Visibility: "public"})
	private := newGroup(dto.CreateRequest{Name: "g"})
	message := dto.MessageRequest{Data: json.RawMessage(`1`)}
	k.events = []string{}
	if _, err := b.Join(t.Context(), guest, request); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Join(t.Context(), user("mia"), open); err != nil {
		t.Fatal(err)
	}
	for id, muted := range map[string]bool{"mo": true, "bo": false} {
		if _, err := b.Join(t.Context(), user(id), open); err != nil {
			t.Fatal(err)
		}
		var err error
		if muted {
			_, err = b.Mute(t.Context(), alice, open, id, dto.MuteRequest{})
		} else {
			_, err = b.Ban(t.Context(), alice, open, id, dto.BanRequest{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	k.events = nil
	for _, tc := range []struct {
		name, want string
		call       func(ctx context.Context) error
	}{
		{"a back end joins", "", func(ctx context.Context) error { _, err := b.Join(ctx, backend, open); return err }},
		{"a back end posts", "", func(ctx context.Context) error { _, err := b.Post(ctx, backend, open, message); return err }},
		{"a back end signals", "", func(ctx context.Context) error {
			return b.Signal(ctx, backend, open, group.SignalSource{}, dto.SignalRequest{Type: "wave"})
		}},
		{"a member joins", "", func(ctx context.Context) error { _, err := b.Join(ctx, user("mia"), open); return err }},
		{"a request again", "", func(ctx context.Context) error { _, err := b.Join(ctx, guest, request); return err }},
		{"an admin approves", "", func(ctx context.Context) error { _, err := b.Approve(ctx, alice, request, "guest"); return err }},
		{"an admin adds", "", func(ctx context.Context) error {
			_, err := b.AddMembers(ctx, alice, open, dto.AddMembersRequest{UserIDs: []string{"added"}})
			return err
		}},
		{"a signal to nobody", "", func(ctx context.Context) error {
			return b.Signal(ctx, alice, open, group.SignalSource{}, dto.SignalRequest{Type: "wave", To: []string{}})
		}},
		{"a banned user", "banned", func(ctx context.Context) error { _, err := b.Join(ctx, user("bo"), open); return err }},
		{"a full group", "group_full", func(ctx context.Context) error { _, err := b.Join(ctx, guest, full); return err }},
		{"a group by invite", "invite_required", func(ctx context.Context) error { _, err := b.Join(ctx, guest, invite); return err }},
		{"a private group", "not_found", func(ctx context.Context) error { _, err := b.Join(ctx, guest, private); return err }},
		{"no invitation", "not_found", func(ctx context.Context) error { _, err := b.AcceptInvitation(ctx, guest, private); return err }},
		{"no invite", "invite_invalid", func(ctx context.Context) error { _, err := b.Accept(ctx, guest, "code"); return err }},
		{"an outsider posts", "not_member", func(ctx context.Context) error { _, err := b.Post(ctx, user("eve"), open, message); return err }},
		{"a muted member posts", "muted", func(ctx context.Context) error { _, err := b.Post(ctx, user("mo"), open, message); return err }},
		{"an outsider signals", "not_member", func(ctx context.Context) error {
			return b.Signal(ctx, user("eve"), open, group.SignalSource{}, dto.SignalRequest{Type: "wave"})
		}},
		{"a mistake", "validation_failed", func(ctx context.Context) error {
			_, err := b.Create(ctx, guest, dto.CreateRequest{})
			return err
		}},
		{"no scope", "forbidden", func(ctx context.Context) error {
			_, err := b.Create(ctx, auth.Identity{UserID: "guest", Calls: auth.ReadGroups}, dto.CreateRequest{Name: "g"})
			return err
		}},
	} {
		err := tc.call(t.Context())
		got := refusalOf(err)
		if asked := k.take(); got != tc.want || len(asked) > 0 {
			t.Errorf("%s: %q, %v, asked %v", tc.name, got, err, asked)
		}
	}
}

// TestEditsThatTheRulesDecide makes edits that need no question: the rules refuse them, or
// a back end makes them.
func TestEditsThatTheRulesDecide(t *testing.T) {
	t.Parallel()
	k := &keeper{events: []string{}}
	b := servicetest.NewGuarded(t, group.Config{}, k)
	g := b.NewGroup(t, `{"name":"g"}`)
	mine, gone := postAs(t, b, "member", g.ID, `1`), postAs(t, b, "member", g.ID, `2`)
	k.events = nil
	for _, tc := range []struct {
		name, want string
		call       func(ctx context.Context) error
	}{
		{"deletes a message", "", func(ctx context.Context) error {
			_, err := b.DeleteMessage(ctx, user("member"), g.ID, gone)
			return err
		}},
		{"edits a deleted message", "not_found", func(ctx context.Context) error {
			_, err := b.EditMessage(ctx, user("member"), g.ID, gone, edit(`3`))
			return err
		}},
		{"edits another's message", "forbidden", func(ctx context.Context) error {
			_, err := b.EditMessage(ctx, user("other"), g.ID, mine, edit(`3`))
			return err
		}},
		{"a back end edits", "", func(ctx context.Context) error {
			_, err := b.EditMessage(ctx, backend, g.ID, mine, edit(`3`))
			return err
		}},
	} {
		if got := refusalOf(tc.call(t.Context())); got != tc.want || len(k.take()) > 0 {
			t.Errorf("%s: %q, or the gatekeeper was asked", tc.name, got)
		}
	}
}

// TestWhatShowsTextUnasked makes changes by which users show text to others or get a group,
// but about which the gatekeeper is not asked. docs/authorize.md lists them.
func TestWhatShowsTextUnasked(t *testing.T) {
	t.Parallel()
	k := &keeper{events: []string{}}
	b := servicetest.NewGuarded(t, group.Config{}, k)
	g := b.NewGroup(t, `{"name":"g"}`)
	k.events = nil
	for name, call := range map[string]func(ctx context.Context) error{
		"changes the group": func(ctx context.Context) error {
			_, err := b.Update(ctx, alice, g.ID, nil, servicetest.Decode[dto.UpdateRequest](t, `{"name":"h","attributes":{"plan":"pro"}}`))
			return err
		},
		"changes a member": func(ctx context.Context) error {
			_, err := b.UpdateMember(ctx, alice, g.ID, "other", servicetest.Decode[dto.UpdateMemberRequest](t, `{"attributes":{"team":"red"}}`))
			return err
		},
		"says who they are": func(ctx context.Context) error {
			_, err := b.Introduce(ctx, user("member"), g.ID, servicetest.Decode[dto.IntroduceRequest](t, `{"name":"M"}`))
			return err
		},
		"takes a group over": func(ctx context.Context) error {
			if _, err := b.Transfer(ctx, alice, g.ID, nil, dto.TransferRequest{UserID: "member"}); err != nil {
				return err
			}
			_, err := b.AcceptOwner(ctx, user("member"), g.ID)
			return err
		},
	} {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked := k.take(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}
