package group_test

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// consents checks that users become members only with their consent. It also records who is
// invited, has requested to join, or has left.
func (m *machine) consents(t *rapid.T, e group.Event) {
	var data struct {
		UserID    string    `json:"userId"`
		ExpiresAt time.Time `json:"expiresAt"`
	}
	if e.Type != group.MessagePosted {
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatalf("%s: %v", e.Type, err)
		}
	}
	userID := data.UserID
	switch e.Type {
	case group.RequestCreated:
		m.waiting[userID] = true
	case group.RequestRejected, group.RequestWithdrawn:
		delete(m.waiting, userID)
	case group.MemberInvited:
		if _, in := m.state.Roles[userID]; in || m.inviting(m.invited[userID]) || !m.ahead(&data.ExpiresAt) {
			t.Fatalf("%s is invited until %s, at %s", userID, data.ExpiresAt, m.now)
		}
		m.invited[userID] = data.ExpiresAt
	case group.MemberJoined:
		wants := *e.Actor == userID || *e.Actor == backend.UserID || m.waiting[userID] || m.direct && !m.left[userID]
		if !wants {
			t.Fatalf("%s was added by %s without consent", userID, *e.Actor)
		}
		delete(m.waiting, userID)
		delete(m.invited, userID)
	case group.MemberLeft:
		m.left[userID] = true
	case group.MemberBanned:
		delete(m.waiting, userID)
		delete(m.invited, userID)
	}
}

// inviting reports whether an invitation that expires at the given time is still valid.
func (m *machine) inviting(at time.Time) bool { return at.After(m.now) }

// guestOr returns an invited user if there is one, or anyone.
func (m *machine) guestOr(t *rapid.T, anyone *rapid.Generator[auth.Identity]) auth.Identity {
	if len(m.invited) > 0 && rapid.Bool().Draw(t, "guest") {
		return user(rapid.SampledFrom(slices.Sorted(maps.Keys(m.invited))).Draw(t, "guest"))
	}
	return anyone.Draw(t, "caller")
}

// isInvited checks the caller's list of invitations against what the events said.
func (m *machine) isInvited(t *rapid.T, caller auth.Identity) bool {
	mine, err := m.Invitations(t.Context(), caller, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	listed := slices.ContainsFunc(mine, func(i group.ReceivedInvitation) bool { return i.GroupID == m.groupID })
	want := m.inviting(m.invited[caller.UserID])
	if listed != want {
		t.Fatalf("%s is invited: %v, the list says %v", caller.UserID, want, listed)
	}
	return want
}

func (m *machine) acceptInvitation(t *rapid.T, caller auth.Identity) {
	want := "ok"
	invited := m.isInvited(t, caller)
	switch _, in := m.state.Roles[caller.UserID]; {
	case in:
	case !invited:
		want = "not_member"
	case m.state.Capacity != nil && len(m.state.Roles) == *m.state.Capacity:
		want = "group_full"
	case len(m.state.Roles) == mostMembers:
		want = "limit_reached"
	}
	if _, err := m.AcceptInvitation(t.Context(), caller, m.groupID); servicetest.Code(err) != want {
		t.Fatalf("%s accepts an invitation: %v, want %s", caller.UserID, err, want)
	}
}

func (m *machine) declineInvitation(t *rapid.T, caller auth.Identity) {
	want := "ok"
	if _, in := m.state.Roles[caller.UserID]; !in && !m.isInvited(t, caller) {
		want = "not_member"
	}
	if err := m.DeclineInvitation(t.Context(), caller, m.groupID); servicetest.Code(err) != want {
		t.Fatalf("%s declines an invitation: %v, want %s", caller.UserID, err, want)
	}
	if want == "ok" {
		delete(m.invited, caller.UserID)
	}
}
