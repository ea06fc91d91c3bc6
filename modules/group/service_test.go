package group_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// calls has every method on a group, for the tests of permissions and of private groups.
var calls = []struct {
	name string
	call func(ctx context.Context, s *group.Service, who auth.Identity, id string) error
	// the results of an outsider of a public group, a member, an admin, the owner and a
	// back end
	want [5]string
}{
	{"get", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Get(ctx, who, id)
		return err
	}, [5]string{"ok", "ok", "ok", "ok", "ok"}},
	{"members", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, _, err := s.Members(ctx, who, id, "", 10)
		return err
	}, [5]string{"not_member", "ok", "ok", "ok", "ok"}},
	{"member", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Member(ctx, who, id, "other")
		return err
	}, [5]string{"not_member", "ok", "ok", "ok", "ok"}},
	{"events", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, _, err := s.Events(ctx, who, id, 0, 10)
		return err
	}, [5]string{"not_member", "ok", "ok", "ok", "ok"}},
	{"presence", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Presence(ctx, who, id, "", 10)
		return err
	}, [5]string{"not_member", "unavailable", "unavailable", "unavailable", "unavailable"}},
	{"post", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Post(ctx, who, id, dto.MessageRequest{Data: json.RawMessage(`1`)})
		return err
	}, [5]string{"not_member", "ok", "ok", "ok", "ok"}},
	{"signal", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.Signal(ctx, who, id, group.SignalSource{}, dto.SignalRequest{Type: "wave"})
	}, [5]string{"not_member", "ok", "ok", "ok", "ok"}},
	{"update", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		name := "renamed by " + who.UserID
		_, err := s.Update(ctx, who, id, nil, dto.UpdateRequest{Name: &name})
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"add a member", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.AddMembers(ctx, who, id, dto.AddMembersRequest{UserIDs: []string{"guest of " + who.UserID}})
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"change a member", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.UpdateMember(ctx, who, id, "other", dto.UpdateMemberRequest{Attributes: json.RawMessage(`{"by":"` + who.UserID + `"}`)})
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"change an admin", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.UpdateMember(ctx, who, id, "admin", dto.UpdateMemberRequest{Attributes: json.RawMessage(`{"by":"` + who.UserID + `"}`)})
		return err
	}, [5]string{"not_member", "forbidden", "forbidden", "ok", "ok"}},
	{"make an admin", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		role := "admin"
		_, err := s.UpdateMember(ctx, who, id, "member", dto.UpdateMemberRequest{Role: &role})
		return err
	}, [5]string{"not_member", "forbidden", "forbidden", "ok", "ok"}},
	{"demote the owner", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		role := "member"
		_, err := s.UpdateMember(ctx, who, id, "alice", dto.UpdateMemberRequest{Role: &role})
		return err
	}, [5]string{"not_member", "forbidden", "forbidden", "owner_must_transfer", "owner_must_transfer"}},
	{"remove a member", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.RemoveMember(ctx, who, id, "other", false)
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"remove an admin", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.RemoveMember(ctx, who, id, "admin", false)
	}, [5]string{"not_member", "forbidden", "forbidden", "ok", "ok"}},
	{"remove the owner", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.RemoveMember(ctx, who, id, "alice", false)
	}, [5]string{"not_member", "forbidden", "forbidden", "owner_must_transfer", "owner_must_transfer"}},
	{"remove nobody", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.RemoveMember(ctx, who, id, "nobody", false)
	}, [5]string{"not_member", "forbidden", "not_found", "not_found", "not_found"}},
	{"join", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Join(ctx, who, id)
		return err
	}, [5]string{"invite_required", "ok", "ok", "ok", "ok"}},
	{"leave", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.Leave(ctx, who, id)
	}, [5]string{"not_member", "ok", "ok", "owner_must_transfer", "not_member"}},
	{"requests", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Applicants(ctx, who, id, "", 10)
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"approve nobody", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Approve(ctx, who, id, "nobody")
		return err
	}, [5]string{"not_member", "forbidden", "not_found", "not_found", "not_found"}},
	{"approve a member", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Approve(ctx, who, id, "other")
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"reject nobody", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.Reject(ctx, who, id, "\x00")
	}, [5]string{"not_member", "forbidden", "not_found", "not_found", "not_found"}},
	{"invites", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Invites(ctx, who, id, "", 10)
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"invite", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Invite(ctx, who, id, dto.InviteRequest{})
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"revoke nothing", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.Revoke(ctx, who, id, "\x00")
	}, [5]string{"not_member", "forbidden", "not_found", "not_found", "not_found"}},
	{"bans", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Bans(ctx, who, id, "", 10)
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"mutes", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Mutes(ctx, who, id, "", 10)
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"ban a member", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Ban(ctx, who, id, "other", dto.BanRequest{})
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"ban an admin", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Ban(ctx, who, id, "admin", dto.BanRequest{})
		return err
	}, [5]string{"not_member", "forbidden", "forbidden", "ok", "ok"}},
	{"ban the owner", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Ban(ctx, who, id, "alice", dto.BanRequest{})
		return err
	}, [5]string{"not_member", "forbidden", "forbidden", "owner_must_transfer", "owner_must_transfer"}},
	{"ban an outsider", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Ban(ctx, who, id, "nobody", dto.BanRequest{})
		return err
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"lift a ban", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.Unban(ctx, who, id, "nobody")
	}, [5]string{"not_member", "forbidden", "ok", "ok", "ok"}},
	{"hand over", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Transfer(ctx, who, id, nil, dto.TransferRequest{UserID: "other"})
		return err
	}, [5]string{"not_member", "forbidden", "forbidden", "ok", "ok"}},
	{"hand over to nobody", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		_, err := s.Transfer(ctx, who, id, nil, dto.TransferRequest{UserID: "nobody"})
		return err
	}, [5]string{"not_member", "forbidden", "forbidden", "not_found", "not_found"}},
	{"delete", func(ctx context.Context, s *group.Service, who auth.Identity, id string) error {
		return s.Delete(ctx, who, id, nil)
	}, [5]string{"not_member", "forbidden", "forbidden", "ok", "ok"}},
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	callers := []auth.Identity{user("outsider"), user("member"), user("admin"), alice, backend}
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i, who := range callers {
				public := b.NewGroup(t, `{"name":"g","visibility":"public"}`)
				servicetest.WantCode(t, who.UserID, c.call(t.Context(), b.Service, who, public.ID), c.want[i])
			}
		})
	}
}

// TestScopes checks that a token allows only the calls of its scope, whoever has the token.
func TestScopes(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	for _, c := range calls {
		g := b.NewGroup(t, `{"name":"g","visibility":"public"}`)
		for _, who := range []auth.Identity{alice, backend} {
			who.Calls = auth.WriteUsers
			err := c.call(t.Context(), b.Service, who, g.ID)
			if !errors.Is(err, fault.ErrForbidden) || !strings.Contains(err.Error(), "scope of the token") {
				t.Errorf("%s by %s: %v", c.name, who.UserID, err)
			}
		}
	}
	g := b.NewGroup(t, `{"name":"g"}`)
	for name, c := range map[string]struct {
		calls auth.Calls
		do    func(who auth.Identity) error
	}{
		"create": {auth.WriteGroups, func(who auth.Identity) error {
			_, err := b.Create(t.Context(), who, dto.CreateRequest{Name: "g"})
			return err
		}},
		"read": {auth.ReadGroups, func(who auth.Identity) error {
			_, err := b.Get(t.Context(), who, g.ID)
			return err
		}},
		"list": {auth.ReadGroups, func(who auth.Identity) error {
			_, err := b.ListMine(t.Context(), who, "", 10)
			return err
		}},
		"post": {auth.WriteMessages, func(who auth.Identity) error {
			_, err := b.Post(t.Context(), who, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)})
			return err
		}},
		"signal": {auth.SendSignals, func(who auth.Identity) error {
			return b.Signal(t.Context(), who, g.ID, group.SignalSource{Subscribed: true}, dto.SignalRequest{Type: "wave"})
		}},
		"ban": {auth.WriteMembers, func(who auth.Identity) error {
			_, err := b.Ban(t.Context(), who, g.ID, "nobody", dto.BanRequest{})
			return err
		}},
	} {
		for calls := auth.ReadGroups; calls <= auth.WriteUsers; calls <<= 1 {
			who := alice
			who.Calls = calls
			if err := c.do(who); (err == nil) != (calls == c.calls) {
				t.Errorf("%s with the scope %s: %v", name, calls, err)
			}
		}
	}
}

// TestPrivateGroupsAreInvisible checks that a user who may not see a group gets the same
// answers as for a group that does not exist.
func TestPrivateGroupsAreInvisible(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	private := b.NewGroup(t, `{"name":"g","joinPolicy":"open"}`)
	deleted := b.NewGroup(t, `{"name":"g","visibility":"public"}`)
	if err := b.Delete(t.Context(), alice, deleted.ID, nil); err != nil {
		t.Fatal(err)
	}
	b.Take()
	ids := map[string]string{
		"private": private.ID,
		"deleted": deleted.ID,
		"unknown": "0190f5fe-7c00-7a00-8abc-012345678901",
		"no id":   "x",
	}
	for _, c := range calls {
		for name, id := range ids {
			outsider := user("outsider")
			err := c.call(t.Context(), b.Service, outsider, id)
			outsider.Calls = auth.WriteUsers
			if limited := c.call(t.Context(), b.Service, outsider, id); fmt.Sprint(limited) != fmt.Sprint(err) {
				t.Errorf("%s of a group that is %s, with another scope: %v, want %v", c.name, name, limited, err)
			}
			e, ok := errors.AsType[*fault.Error](err)
			if !ok || !sameFault(e, fault.ErrNotFound) {
				t.Errorf("%s of a group that is %s: %#v", c.name, name, err)
			}
		}
	}
	if events := b.Take(); events != nil || len(b.Signals) > 0 {
		t.Errorf("announced %v, %v", events, b.Signals)
	}
}

func sameFault(a, b *fault.Error) bool {
	return a.Kind == b.Kind && a.Code == b.Code && a.Message == b.Message && len(a.Fields) == 0
}

func TestCreate(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g, err := b.Create(t.Context(), alice, servicetest.Decode[dto.CreateRequest](t, `{"name":"Study","attributes":{ "room" : 7 },"capacity":3}`))
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	at := time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC)
	want := group.Group{
		ID: g.ID, Name: "Study", Visibility: group.Private, JoinPolicy: group.JoinInvite, Posting: group.PostingMembers, Capacity: &three,
		Attributes: json.RawMessage(`{"room":7}`), MemberCount: 1, OwnerID: "alice", Version: 1, Revision: 1,
		CreatedAt: at, UpdatedAt: at,
	}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, b.Read(t, g.ID)); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	if diff := cmp.Diff([]string{"1 group.created"}, b.Take()); diff != "" {
		t.Error(diff)
	}
	owner, err := b.Member(t.Context(), alice, g.ID, "alice")
	if err != nil || owner.Role != group.Owner || owner.Name != "ALICE" {
		t.Errorf("owner: %+v, %v", owner, err)
	}
	_, err = b.Create(t.Context(), alice, dto.CreateRequest{})
	servicetest.WantCode(t, "create without a name", err, "validation_failed")
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g","attributes":{"a":{"x":1},"b":2}}`)
	stale := g.Revision
	patch := func(body string, revision *int64) (group.Group, error) {
		b.Now = b.Now.Add(time.Second)
		return b.Update(t.Context(), alice, g.ID, revision, servicetest.Decode[dto.UpdateRequest](t, body))
	}

	same, err := patch(`{"name":"g","attributes":{"b":2}}`, &stale)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g, same); diff != "" {
		t.Errorf("a patch that changes nothing: %s", diff)
	}
	if events := b.Take(); events != nil {
		t.Errorf("a patch that changes nothing tells of %v", events)
	}

	changed, err := patch(`{"name":"h","attributes":{"a":{"x":null,"y":[1]}}}`, &stale)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Name != "h" || string(changed.Attributes) != `{"a":{"y":[1]},"b":2}` ||
		changed.Version != g.Version+1 || changed.Revision != changed.Version || !changed.UpdatedAt.After(g.UpdatedAt) {
		t.Errorf("changed to %+v", changed)
	}
	if diff := cmp.Diff(changed, b.Read(t, g.ID)); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	if len(b.Announced) != 1 || string(b.Announced[0].Data) != `{"attributes":{"a":{"y":[1]},"b":2},"name":"h"}` {
		t.Errorf("announced %+v", b.Announced)
	}

	_, err = patch(`{"name":"i"}`, &stale)
	servicetest.WantCode(t, "a patch of an old revision", err, "version_conflict")
	servicetest.WantCode(t, "deleting an old revision", b.Delete(t.Context(), alice, g.ID, &stale), "version_conflict")
	_, err = patch(`{"capacity":3}`, nil)
	servicetest.WantCode(t, "a capacity below the members", err, "group_full")
	_, err = patch(`{"id":"x"}`, nil)
	servicetest.WantCode(t, "a patch of the id", err, "validation_failed")
	servicetest.WantCode(t, "deleting the revision read", b.Delete(t.Context(), alice, g.ID, &changed.Revision), "ok")
	_, err = b.Get(t.Context(), alice, g.ID)
	servicetest.WantCode(t, "reading what was deleted", err, "not_found")
}

func TestLists(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	first := b.NewGroup(t, `{"name":"Chess club","visibility":"public"}`)
	b.NewGroup(t, `{"name":"Chess in private"}`)
	second := b.NewGroup(t, `{"name":"chess at night","visibility":"public"}`)
	found, err := b.ListPublic(t.Context(), alice, "CHESS", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]group.Group{second, first}, found); diff != "" {
		t.Error(diff)
	}
	mine, err := b.ListMine(t.Context(), user("admin"), second.ID, 1)
	if err != nil || len(mine) != 1 || mine[0].Name != "Chess in private" || mine[0].Role != group.Admin {
		t.Errorf("mine: %+v, %v", mine, err)
	}
	_, err = b.ListPublic(t.Context(), alice, "\x00", "", 10)
	servicetest.WantCode(t, "a query with NUL", err, "validation_failed")
}
