package group_test

import (
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// issued is what the creator of an invite knows about it.
type issued struct {
	group.NewInvite
	revoked bool
}

func (m *machine) invite(t *rapid.T, caller auth.Identity) {
	req := dto.InviteRequest{MaxUses: rapid.Ptr(rapid.IntRange(1, 2), true).Draw(t, "uses"), ExpiresAt: m.sometime(t)}
	made, err := m.Invite(t.Context(), caller, m.groupID, req)
	expect(t, err, "not_member", "forbidden")
	if err == nil {
		m.issued = append(m.issued, &issued{NewInvite: made})
	}
}

func (m *machine) revoke(t *rapid.T, caller auth.Identity, i *issued) {
	err := m.Revoke(t.Context(), caller, m.groupID, i.InviteID)
	expect(t, err, "not_member", "forbidden", "not_found")
	switch {
	case err == nil && i.revoked:
		t.Fatal("an invite was revoked twice")
	case err == nil:
		i.revoked = true
	case servicetest.Code(err) == "not_found" && !i.revoked:
		t.Fatal("an invite that nobody revoked does not exist")
	}
}

// revokeAllOf marks all invites that the user created as revoked.
func (m *machine) revokeAllOf(userID string) {
	for _, i := range m.issued {
		i.revoked = i.revoked || i.CreatedBy == userID
	}
}

// accept accepts an invite, and checks the result against what the model expects.
func (m *machine) accept(t *rapid.T, caller auth.Identity, i *issued) {
	_, member := m.state.Roles[caller.UserID]
	want := "ok"
	switch until, banned := m.bans[caller.UserID]; {
	case i.revoked:
		want = "invite_invalid"
	case member:
	case !m.ahead(i.ExpiresAt), i.MaxUses != nil && i.Uses == *i.MaxUses:
		want = "invite_invalid"
	case banned && m.ahead(until):
		want = "banned"
	case m.state.Capacity != nil && len(m.state.Roles) == *m.state.Capacity:
		want = "group_full"
	case len(m.state.Roles) == mostMembers:
		want = "limit_reached"
	default:
		i.Uses++
	}
	_, err := m.Accept(t.Context(), caller, i.Code)
	if got := servicetest.Code(err); got != want {
		t.Fatalf("%s accepts an invite: %s, want %s", caller.UserID, got, want)
	}
}

// pick returns one of the newest n invites ever created.
func (m *machine) pick(t *rapid.T, n int) *issued {
	if len(m.issued) == 0 {
		t.Skip("nobody was invited")
	}
	return rapid.SampledFrom(m.issued[len(m.issued)-n:]).Draw(t, "invite")
}

// ahead reports whether the time is in the future. nil means never, so it is always in the
// future.
func (m *machine) ahead(at *time.Time) bool { return at == nil || at.After(m.now) }

// checkOutsiders checks bans and join requests against the members.
func (m *machine) checkOutsiders(t *rapid.T, roles map[string]group.Role) {
	bans, err := m.Bans(t.Context(), backend, m.groupID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var banned []string
	for _, ban := range bans {
		if role, in := roles[ban.UserID]; in {
			t.Fatalf("%s is banned and %s", ban.UserID, role)
		}
		banned = append(banned, ban.UserID)
	}
	want := slices.DeleteFunc(slices.Sorted(maps.Keys(m.bans)), func(u string) bool { return !m.ahead(m.bans[u]) })
	if !slices.Equal(want, banned) {
		t.Fatalf("the banned users are %v, want %v", banned, want)
	}
	applicants, err := m.Applicants(t.Context(), backend, m.groupID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range applicants {
		if role, in := roles[a.UserID]; in || slices.Contains(banned, a.UserID) {
			t.Fatalf("%s requests to join although they are %s or banned: %v", a.UserID, role, banned)
		}
	}
}

// checkInvites checks the stored invites against those that were created. It records in
// known which ones exist.
func (m *machine) checkInvites(t *rapid.T, known map[string]bool) {
	listed, err := m.Invites(t.Context(), backend, m.groupID, "", 200)
	if err != nil {
		t.Fatal(err)
	}
	want := []group.Invite{}
	for _, i := range slices.Backward(m.issued) {
		if !i.revoked {
			want = append(want, i.Invite)
		}
	}
	for _, i := range listed {
		known[i.InviteID] = true
		if i.MaxUses != nil && i.Uses > *i.MaxUses {
			t.Fatalf("an invite was used %d times of %d", i.Uses, *i.MaxUses)
		}
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Fatalf("invites (-want +got):\n%s", diff)
	}
}
