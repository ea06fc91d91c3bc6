package group_test

import (
	"pgregory.net/rapid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// transfer offers or transfers the group, and checks the result against what the model
// expects.
func (m *machine) transfer(t *rapid.T, caller auth.Identity, to string) {
	_, member := m.state.Roles[to]
	role, in := m.state.Roles[caller.UserID]
	want, offered := "ok", false
	switch {
	case !caller.Admin && !in:
		want = "not_member"
	case !caller.Admin && role != group.Owner:
		want = "forbidden"
	case !member:
		want = "not_found"
	case m.state.Roles[to] == group.Owner:
		m.heir = ""
	default:
		offered = !caller.Admin
	}
	got, err := m.Transfer(t.Context(), caller, m.groupID, nil, dto.TransferRequest{UserID: to})
	if servicetest.Code(err) != want || got.Offered() != offered {
		t.Fatalf("%s hands over to %s: offered %v, %v; want %v, %s", caller.UserID, to, got.Offered(), err, offered, want)
	}
}

// heirOr returns the user to whom the group is offered if there is one, or anyone.
func (m *machine) heirOr(t *rapid.T, anyone *rapid.Generator[auth.Identity]) auth.Identity {
	if m.heir != "" && rapid.Bool().Draw(t, "heir") {
		return user(m.heir)
	}
	return anyone.Draw(t, "caller")
}

// mayAnswer returns the code that the caller must get for an answer to an offer, or "ok".
func (m *machine) mayAnswer(caller auth.Identity) string {
	switch _, in := m.state.Roles[caller.UserID]; {
	case !in:
		return "not_member"
	case m.heir != caller.UserID:
		return "not_found"
	default:
		return "ok"
	}
}

func (m *machine) acceptOwner(t *rapid.T, caller auth.Identity) {
	want := m.mayAnswer(caller)
	if m.state.Roles[caller.UserID] == group.Owner {
		want = "ok"
	}
	g, err := m.AcceptOwner(t.Context(), caller, m.groupID)
	if servicetest.Code(err) != want || err == nil && g.OwnerID != caller.UserID {
		t.Fatalf("%s accepts the group: %+v, %v, want %s", caller.UserID, g, err, want)
	}
}

func (m *machine) declineOwner(t *rapid.T, caller auth.Identity) {
	want := m.mayAnswer(caller)
	if want == "not_found" {
		want = "ok" // declining without an offer changes nothing
	}
	if err := m.DeclineOwner(t.Context(), caller, m.groupID); servicetest.Code(err) != want {
		t.Fatalf("%s declines the group: %v, want %s", caller.UserID, err, want)
	}
	if m.heir == caller.UserID {
		m.heir = ""
	}
}
