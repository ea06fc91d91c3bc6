package group_test

import (
	"context"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// TestEditsThatTheRulesDecide edits messages in vain, and without asking: the rules refuse
// it, or a back end does it.
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
			t.Errorf("%s: %q, or somebody was asked", tc.name, got)
		}
	}
}

// TestWhatShowsTextUnasked makes the changes by which users show others text, or come to
// own a group, and which are none of the events: docs/authorize.md lists them.
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
