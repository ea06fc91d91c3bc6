package group_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// TestInvariants runs random calls of random users on a group. After every step it checks
// the invariants: the group has one owner, is never over capacity, has no banned member,
// and counts its members correctly. No invite is used more often than allowed. The log's
// versions have no gaps, its events lead to the stored state, and it has no replaced or
// deleted text.
func TestInvariants(t *testing.T) {
	childtest.Bulk(t)
	t.Parallel()
	servicetest.OnBoth(t, func(t *testing.T, st grouptest.Store) {
		rapid.Check(t, func(t *rapid.T) { anything(t, st) })
	})
}

// mostMembers is the server's limit of members in this test.
const mostMembers = 6

// machine is the model of one group and its users.
type machine struct {
	*group.Service
	*servicetest.Recorder
	now     time.Time
	groupID string
	state   folded

	// State that the log does not have.
	bans   map[string]*time.Time // when each ban expires; nil: never
	issued []*issued
	heir   string // the user to whom the group is offered; empty: nobody

	direct  bool                 // whether users are added without being asked
	waiting map[string]bool      // the users who have requested to join
	left    map[string]bool      // the users who have ever left
	invited map[string]time.Time // when each invitation expires
	speech  speech
}

// folded is the state to which the announced events lead.
type folded struct {
	Version  int64
	Capacity *int
	Roles    map[string]group.Role
	Invites  map[string]bool
}

func newFolded() folded {
	return folded{Roles: map[string]group.Role{}, Invites: map[string]bool{}}
}

func anything(t *rapid.T, st grouptest.Store) {
	m := &machine{
		Recorder: &servicetest.Recorder{},
		now:      time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
		state:    newFolded(),
		bans:     map[string]*time.Time{},
		waiting:  map[string]bool{},
		left:     map[string]bool{},
		invited:  map[string]time.Time{},
		speech:   speech{mutes: map[string]*time.Time{}},
	}
	cfg := group.Config{LimitMembers: mostMembers, Add: rapid.SampledFrom([]string{group.AddInvite, group.AddDirect}).Draw(t, "add")}
	m.direct = cfg.Add == group.AddDirect
	m.Service = group.NewService(cfg, group.Deps{
		Repository: st, Log: st, Announcer: m.Recorder, Signaler: m.Recorder, Now: func() time.Time { return m.now },
	})
	g, err := m.Create(t.Context(), person(0), dto.CreateRequest{
		Name: "g", Visibility: "public", JoinPolicy: joinPolicy.Draw(t, "policy"),
		Capacity: rapid.Ptr(rapid.IntRange(1, mostMembers), true).Draw(t, "capacity"),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.groupID = g.ID
	anyone := rapid.Custom(func(t *rapid.T) auth.Identity { return person(rapid.IntRange(0, 6).Draw(t, "who")) })
	// The owner is the caller of most actions that only some users may do.
	chief := rapid.Custom(func(t *rapid.T) auth.Identity {
		if rapid.Bool().Draw(t, "owner") {
			return user(m.owner())
		}
		return anyone.Draw(t, "who")
	})
	actions := map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			m.check(t)
			m.checkSpeech(t, st)
		},
		"join": func(t *rapid.T) {
			_, err := m.Join(t.Context(), anyone.Draw(t, "caller"), m.groupID)
			expect(t, err, "group_full", "limit_reached", "banned", "invite_required")
		},
		"approve": func(t *rapid.T) {
			_, err := m.Approve(t.Context(), chief.Draw(t, "caller"), m.groupID, anyone.Draw(t, "target").UserID)
			expect(t, err, "group_full", "limit_reached", "not_found", "not_member", "forbidden", "banned")
		},
		"reject": func(t *rapid.T) {
			err := m.Reject(t.Context(), chief.Draw(t, "caller"), m.groupID, anyone.Draw(t, "target").UserID)
			expect(t, err, "not_found", "not_member", "forbidden")
		},
		"ban": func(t *rapid.T) {
			target, until := anyone.Draw(t, "target").UserID, m.sometime(t)
			_, err := m.Ban(t.Context(), chief.Draw(t, "caller"), m.groupID, target, dto.BanRequest{ExpiresAt: until})
			expect(t, err, "not_member", "forbidden", "owner_must_transfer")
			if err == nil {
				m.bans[target] = until
				m.revokeAllOf(target)
			}
		},
		"unban": func(t *rapid.T) {
			target := anyone.Draw(t, "target").UserID
			err := m.Unban(t.Context(), chief.Draw(t, "caller"), m.groupID, target)
			expect(t, err, "not_member", "forbidden")
			if err == nil {
				delete(m.bans, target)
			}
		},
		"invite":     func(t *rapid.T) { m.invite(t, chief.Draw(t, "caller")) },
		"accept any": func(t *rapid.T) { m.accept(t, anyone.Draw(t, "caller"), m.pick(t, len(m.issued))) },
		"accept new": func(t *rapid.T) { m.accept(t, anyone.Draw(t, "caller"), m.pick(t, 1)) },
		"revoke":     func(t *rapid.T) { m.revoke(t, chief.Draw(t, "caller"), m.pick(t, len(m.issued))) },
		"wait": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "minutes")) * time.Minute)
		},
		"transfer": func(t *rapid.T) {
			caller := rapid.SampledFrom([]auth.Identity{backend, chief.Draw(t, "chief")}).Draw(t, "caller")
			m.transfer(t, caller, anyone.Draw(t, "target").UserID)
		},
		"accept owner":  func(t *rapid.T) { m.acceptOwner(t, m.heirOr(t, anyone)) },
		"decline owner": func(t *rapid.T) { m.declineOwner(t, m.heirOr(t, anyone)) },
		"policy": func(t *rapid.T) {
			policy := joinPolicy.Draw(t, "policy")
			_, err := m.Update(t.Context(), chief.Draw(t, "caller"), m.groupID, nil, dto.UpdateRequest{JoinPolicy: &policy})
			expect(t, err, "not_member", "forbidden")
		},
		"leave": func(t *rapid.T) {
			expect(t, m.Leave(t.Context(), anyone.Draw(t, "caller"), m.groupID), "not_member", "owner_must_transfer")
		},
		"add": func(t *rapid.T) {
			caller := rapid.SampledFrom([]auth.Identity{backend, chief.Draw(t, "chief")}).Draw(t, "caller")
			users := []string{anyone.Draw(t, "first").UserID, anyone.Draw(t, "second").UserID}
			_, err := m.AddMembers(t.Context(), caller, m.groupID, dto.AddMembersRequest{UserIDs: users})
			expect(t, err, "group_full", "limit_reached", "not_member", "forbidden", "banned")
		},
		"accept invitation":  func(t *rapid.T) { m.acceptInvitation(t, m.guestOr(t, anyone)) },
		"decline invitation": func(t *rapid.T) { m.declineInvitation(t, m.guestOr(t, anyone)) },
		"wait long":          func(*rapid.T) { m.now = m.now.Add(group.InvitationAge / 2) },
		"remove": func(t *rapid.T) {
			target := anyone.Draw(t, "target").UserID
			err := m.RemoveMember(t.Context(), chief.Draw(t, "caller"), m.groupID, target, false)
			expect(t, err, "not_found", "not_member", "forbidden", "owner_must_transfer")
			if err == nil {
				m.revokeAllOf(target)
			}
		},
		"role": func(t *rapid.T) {
			role := rapid.SampledFrom([]string{"admin", "member"}).Draw(t, "role")
			_, err := m.UpdateMember(t.Context(), chief.Draw(t, "caller"), m.groupID, anyone.Draw(t, "target").UserID, dto.UpdateMemberRequest{Role: &role})
			expect(t, err, "not_found", "not_member", "forbidden", "owner_must_transfer")
		},
		"erase": func(t *rapid.T) { m.erase(t, st, anyone.Draw(t, "who").UserID) },
		"capacity": func(t *rapid.T) {
			capacity := rapid.IntRange(1, mostMembers).Draw(t, "capacity")
			_, err := m.Update(t.Context(), chief.Draw(t, "caller"), m.groupID, nil, dto.UpdateRequest{Capacity: &capacity})
			expect(t, err, "group_full", "not_member", "forbidden")
		},
	}
	speaking := m.speak(anyone, chief)
	maps.Copy(actions, speaking)
	if rapid.Bool().Draw(t, "mostly messages") {
		maps.DeleteFunc(actions, func(name string, _ func(*rapid.T)) bool {
			return speaking[name] == nil && !slices.Contains([]string{"", "join", "add", "role", "leave", "erase", "wait"}, name)
		})
	}
	t.Repeat(actions)
}

var joinPolicy = rapid.SampledFrom([]string{"open", "request", "invite"})

func person(n int) auth.Identity { return user(fmt.Sprintf("u%d", n)) }

// owner returns the owner according to the events.
func (m *machine) owner() string {
	for userID, role := range m.state.Roles {
		if role == group.Owner {
			return userID
		}
	}
	return ""
}

// sometime returns a time in the next minutes, or nil.
func (m *machine) sometime(t *rapid.T) *time.Time {
	minutes := rapid.IntRange(0, 5).Draw(t, "expires after minutes")
	if minutes == 0 {
		return nil
	}
	at := m.now.Add(time.Duration(minutes) * time.Minute)
	return &at
}

// expect fails the test for an error whose code is not listed.
func expect(t *rapid.T, err error, codes ...string) {
	if err != nil && !slices.Contains(codes, servicetest.Code(err)) {
		t.Fatalf("unexpected: %v", err)
	}
}

// setCapacity takes the capacity of an event's data, if there is one.
func (f *folded) setCapacity(t *rapid.T, data json.RawMessage) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	if raw, there := fields["capacity"]; there {
		f.Capacity = nil
		if err := json.Unmarshal(raw, &f.Capacity); err != nil {
			t.Fatal(err)
		}
	}
}

// check compares the stored state with the announced events, and checks the invariants.
func (m *machine) check(t *rapid.T) {
	m.fold(t)
	g, err := m.Get(t.Context(), backend, m.groupID)
	if err != nil {
		t.Fatal(err)
	}
	members, version, err := m.Members(t.Context(), backend, m.groupID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	stored := newFolded()
	stored.Version, stored.Capacity = version, g.Capacity
	var owners []string
	for _, member := range members {
		stored.Roles[member.UserID] = member.Role
		if member.Role == group.Owner {
			owners = append(owners, member.UserID)
		}
	}
	m.checkOutsiders(t, stored.Roles)
	m.checkInvites(t, stored.Invites)
	if diff := cmp.Diff(m.state, stored); diff != "" {
		t.Fatalf("the state that follows from the log (-) differs from the stored one (+):\n%s", diff)
	}
	switch {
	case len(owners) != 1 || owners[0] != g.OwnerID:
		t.Fatalf("owners %v, the group says %s", owners, g.OwnerID)
	case g.MemberCount != len(members):
		t.Fatalf("memberCount %d of %d members", g.MemberCount, len(members))
	case g.Capacity != nil && len(members) > *g.Capacity, len(members) > mostMembers:
		t.Fatalf("%d members at capacity %v", len(members), g.Capacity)
	case g.Version != version || g.Revision > version:
		t.Fatalf("version %d, revision %d, members' version %d", g.Version, g.Revision, version)
	}
}

// fold applies the events that were announced since the last step.
func (m *machine) fold(t *rapid.T) {
	for _, e := range m.TakeEvents() {
		if e.GroupID != m.groupID {
			continue // an erased user also leaves the groups of earlier runs
		}
		m.consents(t, e)
		if e.Version != m.state.Version+1 {
			t.Fatalf("version %d follows %d", e.Version, m.state.Version)
		}
		m.state.Version = e.Version
		var data struct {
			UserID  string     `json:"userId"`
			Role    group.Role `json:"role"`
			OwnerID string     `json:"ownerId"`
			From    string     `json:"from"`
			To      string     `json:"to"`

			InviteID string `json:"inviteId"`
		}
		if err := json.Unmarshal(e.Data, &data); err != nil && e.Type != group.MessagePosted {
			t.Fatalf("%s: %v", e.Type, err)
		}
		switch e.Type {
		case group.GroupCreated:
			m.state.setCapacity(t, e.Data)
			m.state.Roles[data.OwnerID] = group.Owner
		case group.GroupUpdated:
			m.state.setCapacity(t, e.Data)
		case group.OwnerTransferred:
			m.state.Roles[data.From], m.state.Roles[data.To] = group.Admin, group.Owner
			m.heir = ""
		case group.OwnerOffered:
			m.heir = data.UserID
		case group.MemberJoined, group.MemberUpdated:
			m.state.Roles[data.UserID] = data.Role
		case group.MemberLeft, group.MemberRemoved, group.MemberBanned:
			delete(m.state.Roles, data.UserID)
			if m.heir == data.UserID {
				m.heir = ""
			}
		case group.InviteCreated:
			m.state.Invites[data.InviteID] = true
		case group.InviteRevoked:
			delete(m.state.Invites, data.InviteID)
		}
	}
}
