package group_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// offers offers alice's group to a member.
func offers(t *testing.T, b *servicetest.Bench, groupID, userID string) {
	t.Helper()
	got, err := b.Transfer(t.Context(), alice, groupID, nil, dto.TransferRequest{UserID: userID})
	if err != nil || !got.Offered() || got.Group != nil {
		t.Errorf("offering to %s: %+v, %v", userID, got, err)
	}
}

func TestTransferOfABackEnd(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	b.Now = b.Now.Add(time.Minute)
	got, err := b.Transfer(ctx, backend, g.ID, &g.Revision, dto.TransferRequest{UserID: "member"})
	if err != nil {
		t.Fatal(err)
	}
	want := g
	want.OwnerID, want.Version, want.Revision, want.UpdatedAt = "member", g.Version+1, g.Version+1, b.Now.Truncate(time.Microsecond)
	if diff := cmp.Diff(group.Transferred{Group: &want}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, b.Read(t, g.ID)); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	if len(b.Announced) != 1 || b.Announced[0].Type != group.OwnerTransferred || string(b.Announced[0].Data) != `{"from":"alice","to":"member"}` {
		t.Errorf("announced %+v", b.Announced)
	}
	b.Take()
	for id, role := range map[string]group.Role{"alice": group.Admin, "member": group.Owner} {
		if m, err := b.Member(ctx, backend, g.ID, id); err != nil || m.Role != role {
			t.Errorf("%s is %+v, %v; want %s", id, m, err, role)
		}
	}
	again, err := b.Transfer(ctx, backend, g.ID, nil, dto.TransferRequest{UserID: "member"})
	if err != nil || again.Group == nil || again.Version != got.Version || b.Take() != nil {
		t.Errorf("handing over to the owner: %+v, %v", again, err)
	}
	_, err = b.Transfer(ctx, user("member"), g.ID, &g.Revision, dto.TransferRequest{UserID: "alice"})
	servicetest.WantCode(t, "handing over with an old revision", err, "version_conflict")
	_, err = b.Transfer(ctx, user("member"), g.ID, nil, dto.TransferRequest{})
	servicetest.WantCode(t, "handing over without a user id", err, "validation_failed")
	_, err = b.Transfer(ctx, backend, g.ID, nil, dto.TransferRequest{UserID: "nobody"})
	servicetest.WantCode(t, "handing over to a user who is no member", err, "not_found")
	servicetest.WantCode(t, "the former owner leaving", b.Leave(ctx, alice, g.ID), "ok")
}

func TestOffer(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	accept := func(who auth.Identity, want string) (got group.Group) {
		t.Helper()
		got, err := b.AcceptOwner(ctx, who, g.ID)
		servicetest.WantCode(t, who.UserID+" accepting", err, want)
		return got
	}
	_, err := b.Transfer(ctx, alice, g.ID, nil, dto.TransferRequest{UserID: "nobody"})
	servicetest.WantCode(t, "offering to a user who is no member", err, "not_found")
	accept(user("member"), "not_found")
	accept(user("outsider"), "not_found")
	accept(backend, "not_found")

	offers(t, b, g.ID, "other")
	offers(t, b, g.ID, "member") // replaces the first offer
	offers(t, b, g.ID, "member")
	if len(b.Announced) != 2 || b.Announced[1].Type != group.OwnerOffered || string(b.Announced[1].Data) != `{"userId":"member"}` || *b.Announced[1].Actor != "alice" {
		t.Errorf("announced %+v", b.Announced)
	}
	b.Take()
	if now := b.Read(t, g.ID); now.OwnerID != "alice" || now.Revision != g.Revision {
		t.Errorf("an offer alone changed the group: %+v", now)
	}
	accept(user("other"), "not_found")
	accept(user("admin"), "not_found")
	accept(backend, "not_found")
	servicetest.WantCode(t, "declining an offer to another user", b.DeclineOwner(ctx, user("other"), g.ID), "ok")

	b.Now = b.Now.Add(time.Minute)
	got := accept(user("member"), "ok")
	want := g
	want.OwnerID, want.Version, want.Revision, want.UpdatedAt = "member", g.Version+3, g.Version+3, b.Now.Truncate(time.Microsecond)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, b.Read(t, g.ID)); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	if len(b.Announced) != 1 || string(b.Announced[0].Data) != `{"from":"alice","to":"member"}` || *b.Announced[0].Actor != "member" {
		t.Errorf("announced %+v", b.Announced)
	}
	b.Take()
	if diff := cmp.Diff(want, accept(user("member"), "ok")); diff != "" || b.Take() != nil {
		t.Errorf("accepting again: %s", diff)
	}
	accept(alice, "not_found")
}

// TestOfferEnds ends an offer in every way except acceptance. The user must not be able to
// accept it afterwards, even if they are a member or join again.
func TestOfferEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, b *servicetest.Bench, id string) error{
		"declined": func(ctx context.Context, b *servicetest.Bench, id string) error {
			for range 2 {
				if err := b.DeclineOwner(ctx, user("member"), id); err != nil {
					return err
				}
			}
			return nil
		},
		"taken back": func(ctx context.Context, b *servicetest.Bench, id string) error {
			_, err := b.Transfer(ctx, alice, id, nil, dto.TransferRequest{UserID: "alice"})
			return err
		},
		"offered to another": func(ctx context.Context, b *servicetest.Bench, id string) error {
			_, err := b.Transfer(ctx, alice, id, nil, dto.TransferRequest{UserID: "other"})
			return err
		},
		"left": func(ctx context.Context, b *servicetest.Bench, id string) error {
			return b.Leave(ctx, user("member"), id)
		},
		"removed": func(ctx context.Context, b *servicetest.Bench, id string) error {
			return b.RemoveMember(ctx, user("admin"), id, "member", false)
		},
		"banned": func(ctx context.Context, b *servicetest.Bench, id string) error {
			if _, err := b.Ban(ctx, user("admin"), id, "member", dto.BanRequest{}); err != nil {
				return err
			}
			return b.Unban(ctx, user("admin"), id, "member")
		},
		"another owner": func(ctx context.Context, b *servicetest.Bench, id string) error {
			_, err := b.Transfer(ctx, backend, id, nil, dto.TransferRequest{UserID: "other"})
			return err
		},
		"ended and reopened": func(ctx context.Context, b *servicetest.Bench, id string) error {
			b.Now = time.Now().Add(-time.Minute)
			soon := b.Now.Add(time.Second)
			if _, err := b.Update(ctx, alice, id, nil, dto.UpdateRequest{EndsAt: &soon}); err != nil {
				return err
			}
			if err := b.FireTimer(ctx, id); err != nil {
				return err
			}
			if _, err := b.AcceptOwner(ctx, user("member"), id); servicetest.Code(err) != "group_ended" {
				return fmt.Errorf("accepting in an ended group: %w", err)
			}
			_, err := b.Update(ctx, alice, id, nil, dto.UpdateRequest{RemoveEnd: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := servicetest.New(t, group.Config{})
			ctx := t.Context()
			g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"open"}`)
			offers(t, b, g.ID, "member")
			if err := end(ctx, b, g.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Join(ctx, user("member"), g.ID); err != nil {
				t.Fatal(err)
			}
			_, err := b.AcceptOwner(ctx, user("member"), g.ID)
			servicetest.WantCode(t, "accepting", err, "not_found")
		})
	}
}
