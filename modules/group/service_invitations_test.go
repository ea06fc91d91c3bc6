package group_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// adds adds users as the caller. It returns the users who became members and those who were
// invited.
func adds(t *testing.T, b *servicetest.Bench, caller auth.Identity, groupID string, users ...string) (added, invited []string) {
	t.Helper()
	var got group.AddedMembers
	err := servicetest.Insist(func() (err error) {
		got, err = b.AddMembers(t.Context(), caller, groupID, dto.AddMembersRequest{UserIDs: users})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got.Items {
		added = append(added, m.UserID)
	}
	if now := b.Read(t, groupID).Version; got.Version != now {
		t.Errorf("answered version %d of %d", got.Version, now)
	}
	return added, got.Invited
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","capacity":5}`)
	added, invited := adds(t, b, user("admin"), g.ID, "eve", "member", "fay", "eve", "gus")
	if diff := cmp.Diff([]string{"eve", "fay", "gus"}, invited); diff != "" || added != nil {
		t.Errorf("added %v, invited %s", added, diff)
	}
	if want := `{"userId":"eve","expiresAt":"2026-12-23T10:00:00.123456Z"}`; len(b.Announced) != 3 || string(b.Announced[0].Data) != want || *b.Announced[0].Actor != "admin" {
		t.Errorf("announced %+v", b.Announced)
	}
	if diff := cmp.Diff([]string{"6 member.invited", "7 member.invited", "8 member.invited"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	if _, invited = adds(t, b, alice, g.ID, "eve"); len(invited) != 1 || b.Take() != nil {
		t.Errorf("invited again: %v", invited)
	}
	if now := b.Read(t, g.ID); now.MemberCount != 4 {
		t.Errorf("%d members", now.MemberCount)
	}
	_, err := b.Get(ctx, user("eve"), g.ID)
	servicetest.WantCode(t, "reading as invited", err, "not_found")
	now := b.Now.Truncate(time.Microsecond)
	want := []group.ReceivedInvitation{{GroupID: g.ID, GroupName: "g", InvitedBy: "admin", At: now, ExpiresAt: now.Add(group.InvitationAge)}}
	mine, err := b.Invitations(ctx, user("eve"), "", 10)
	if diff := cmp.Diff(want, mine); diff != "" || err != nil {
		t.Errorf("the invitations of eve: %v %s", err, diff)
	}

	joined, err := b.AcceptInvitation(ctx, user("eve"), g.ID)
	if err != nil || joined.UserID != "eve" || joined.Name != "EVE" || joined.Role != group.MemberRole {
		t.Errorf("accepted: %+v, %v", joined, err)
	}
	again, err := b.AcceptInvitation(ctx, user("eve"), g.ID)
	if diff := cmp.Diff(joined, again); diff != "" || err != nil {
		t.Errorf("accepted again: %v %s", err, diff)
	}
	servicetest.WantCode(t, "a member declining", b.DeclineInvitation(ctx, user("eve"), g.ID), "ok")
	if diff := cmp.Diff([]string{"9 member.joined"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	_, err = b.AcceptInvitation(ctx, user("fay"), g.ID)
	servicetest.WantCode(t, "accepting an invitation to a full group", err, "group_full")
	servicetest.WantCode(t, "declining", b.DeclineInvitation(ctx, user("fay"), g.ID), "ok")
	if mine, err = b.Invitations(ctx, user("fay"), "", 10); len(mine) != 0 || err != nil {
		t.Errorf("invited after declining: %v, %v", mine, err)
	}

	for _, who := range []string{"fay", "outsider"} {
		_, err = b.AcceptInvitation(ctx, user(who), g.ID)
		servicetest.WantCode(t, who+" accepting", err, "not_found")
		servicetest.WantCode(t, who+" declining", b.DeclineInvitation(ctx, user(who), g.ID), "not_found")
	}
	_, err = b.AcceptInvitation(ctx, backend, g.ID)
	servicetest.WantCode(t, "a back end accepting", err, "not_found")
	public := b.NewGroup(t, `{"name":"g","visibility":"public"}`)
	_, err = b.AcceptInvitation(ctx, user("outsider"), public.ID)
	servicetest.WantCode(t, "accepting in a public group", err, "not_member")

	if err := b.RemoveMember(ctx, alice, g.ID, "eve", false); err != nil {
		t.Fatal(err)
	}
	b.Now = b.Now.Add(group.InvitationAge)
	_, err = b.AcceptInvitation(ctx, user("gus"), g.ID)
	servicetest.WantCode(t, "accepting an expired invitation", err, "not_found")
	b.Take()
	if _, invited = adds(t, b, alice, g.ID, "gus"); len(invited) != 1 || len(b.Take()) != 1 {
		t.Errorf("invited again when it had expired: %v", invited)
	}
	_, err = b.AcceptInvitation(ctx, user("gus"), g.ID)
	servicetest.WantCode(t, "accepting the new one", err, "ok")
}

// TestInvitationEnds lets invited users become members in another way, or keeps them out.
// The invitation must end then, and must not let them in later.
func TestInvitationEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, b *servicetest.Bench, id string) error{
		"joined": func(ctx context.Context, b *servicetest.Bench, id string) error {
			joined, err := b.Join(ctx, user("eve"), id)
			if err == nil && joined.Requested() {
				err = errors.New("it took a request")
			}
			return err
		},
		"accepted an invite": func(ctx context.Context, b *servicetest.Bench, id string) error {
			invite, err := b.Invite(ctx, alice, id, dto.InviteRequest{})
			if err != nil {
				return err
			}
			_, err = b.Accept(ctx, user("eve"), invite.Code)
			return err
		},
		"added by a back end": func(ctx context.Context, b *servicetest.Bench, id string) error {
			_, err := b.AddMembers(ctx, backend, id, dto.AddMembersRequest{UserIDs: []string{"eve"}})
			return err
		},
		"banned": func(ctx context.Context, b *servicetest.Bench, id string) error {
			if _, err := b.Ban(ctx, alice, id, "eve", dto.BanRequest{}); err != nil {
				return err
			}
			return b.Unban(ctx, alice, id, "eve")
		},
	} {
		for _, policy := range []string{"request", "invite"} {
			t.Run(name+" by "+policy, func(t *testing.T) {
				t.Parallel()
				b := servicetest.New(t, group.Config{})
				ctx := t.Context()
				g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"`+policy+`"}`)
				adds(t, b, alice, g.ID, "eve")
				if err := end(ctx, b, g.ID); err != nil {
					t.Fatal(err)
				}
				if mine, err := b.Invitations(ctx, user("eve"), "", 10); len(mine) != 0 || err != nil {
					t.Errorf("still invited: %v, %v", mine, err)
				}
				if name != "banned" {
					servicetest.WantCode(t, "removing", b.RemoveMember(ctx, alice, g.ID, "eve", false), "ok")
				}
				_, err := b.AcceptInvitation(ctx, user("eve"), g.ID)
				servicetest.WantCode(t, "accepting", err, "not_member")
			})
		}
	}
}

// TestConsent checks which users are added at once and which are only invited.
func TestConsent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ add, added, invited string }{
		{group.AddInvite, "[applicant]", "[new left removed again]"},
		{group.AddDirect, "[new removed applicant]", "[left again]"},
	} {
		t.Run(c.add, func(t *testing.T) {
			t.Parallel()
			b := servicetest.New(t, group.Config{Add: c.add})
			ctx := t.Context()
			g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"request"}`)
			adds(t, b, backend, g.ID, "left", "removed", "again")
			for _, who := range []string{"left", "again"} {
				servicetest.WantCode(t, "leaving", b.Leave(ctx, user(who), g.ID), "ok")
			}
			if added, _ := adds(t, b, backend, g.ID, "again"); len(added) != 1 {
				t.Errorf("a back end added the user, who had left, as %v", added)
			}
			for _, who := range []string{"removed", "again"} {
				servicetest.WantCode(t, "removing", b.RemoveMember(ctx, alice, g.ID, who, false), "ok")
			}
			if joined, err := b.Join(ctx, user("applicant"), g.ID); err != nil || !joined.Requested() {
				t.Fatalf("requesting to join: %+v, %v", joined, err)
			}
			added, invited := adds(t, b, user("admin"), g.ID, "new", "left", "removed", "applicant", "again")
			if fmt.Sprint(added) != c.added || fmt.Sprint(invited) != c.invited {
				t.Errorf("added %v and invited %v, want %s and %s", added, invited, c.added, c.invited)
			}
			if waiting, err := b.Applicants(ctx, alice, g.ID, "", 10); len(waiting) != 0 || err != nil {
				t.Errorf("still waiting: %v, %v", waiting, err)
			}
			added, invited = adds(t, b, backend, g.ID, "new", "left", "removed", "again")
			if invited != nil || len(added) == 0 {
				t.Errorf("a back end added %v and invited %v", added, invited)
			}
		})
	}
}

// TestInvitationsAndLimits checks that an invitation does not count against the user's
// limits, and that the invitations of a group are limited.
func TestInvitationsAndLimits(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{LimitJoined: 3})
	ctx := t.Context()
	if _, err := b.Create(ctx, user("eve"), dto.CreateRequest{Name: "her own"}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 3 {
		g := b.NewGroup(t, `{"name":"g"}`)
		adds(t, b, user("admin"), g.ID, "eve")
		ids = append(ids, g.ID)
	}
	for i, want := range []string{"ok", "ok", "limit_reached"} {
		_, err := b.AcceptInvitation(ctx, user("eve"), ids[i])
		servicetest.WantCode(t, "accepting", err, want)
	}

	b = servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	users := make([]string, 100)
	for n := range 10 {
		for i := range users {
			users[i] = fmt.Sprintf("u%d", n*len(users)+i)
		}
		adds(t, b, alice, g.ID, users...)
	}
	_, err := b.AddMembers(ctx, alice, g.ID, dto.AddMembersRequest{UserIDs: []string{"one more"}})
	servicetest.WantCode(t, "inviting one more", err, "limit_reached")
	adds(t, b, alice, g.ID, users...) // all of them are invited already
	servicetest.WantCode(t, "declining", b.DeclineInvitation(ctx, user("u7"), g.ID), "ok")
	adds(t, b, alice, g.ID, "one more")
}
