package api_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestBannedOverSockets checks that the last event that a banned user receives is the ban.
func TestBannedOverSockets(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	one, two := newNode(t, st, mesh), newNode(t, st, mesh)
	bob := two.dial(t, "bob")
	g, err := one.Create(t.Context(), alice, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open"})
	if err != nil {
		t.Fatal(err)
	}
	here := `{"groupId":"` + g.ID + `"}`
	bob.call("group:join", here)
	bob.call("group:subscribe", here)
	if _, err := one.Ban(t.Context(), alice, g.ID, "bob", dto.BanRequest{}); err != nil {
		t.Fatal(err)
	}
	bob.wantNext("group:event 3 member.banned", `group:closed {"groupId":"`+g.ID+`","reason":"banned"}`)
	if got := bob.call("group:join", here); got != "error: banned" {
		t.Errorf("joining: %s", got)
	}
}

func TestRequestsOverSockets(t *testing.T) {
	t.Parallel()
	n := newNode(t, servicetest.OpenStore(t), adapter.NewMesh())
	g, err := n.Create(t.Context(), alice, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "request"})
	if err != nil {
		t.Fatal(err)
	}
	here := `{"groupId":"` + g.ID + `"}`
	bob, watching := n.dial(t, "bob"), n.dial(t, "alice")
	watching.call("group:subscribe", here)
	for range 2 {
		if got := bob.call("group:join", here); got != `{"status":"requested"}` {
			t.Errorf("joining: %s", got)
		}
	}
	if _, err := n.Approve(t.Context(), alice, g.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	watching.wantNext("group:event 2 request.created", "group:event 3 request.approved", "group:event 4 member.joined")
	member, err := n.Member(t.Context(), alice, g.ID, "bob")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(member, servicetest.Decode[group.Member](t, bob.call("group:join", here))); diff != "" {
		t.Errorf("joining as a member: %s", diff)
	}
}

// TestMineOverSockets checks that sockets that called group:mine receive changes of their
// user's memberships, on every node. Other sockets of the user and other users must not
// receive them.
func TestMineOverSockets(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	one, two := newNode(t, st, mesh), newNode(t, st, mesh)
	bob, silent, carl := two.dial(t, "bob"), two.dial(t, "bob"), two.dial(t, "carl")
	for _, c := range []*client{bob, carl} {
		for data, want := range map[string]string{`{}`: `{}`, `null`: `{}`, `{"groupId":"x"}`: "error: validation_failed"} {
			if got := c.call("group:mine", data); got != want {
				t.Errorf("asking with %s: %s", data, got)
			}
		}
	}
	g, err := one.Create(t.Context(), alice, dto.CreateRequest{Name: "g"})
	if err != nil {
		t.Fatal(err)
	}
	news := func(event group.EventType) string {
		return `group:mine {"groupId":"` + g.ID + `","type":"` + string(event) + `"}`
	}
	if _, err := one.AddMembers(t.Context(), backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"bob"}}); err != nil {
		t.Fatal(err)
	}
	bob.wantNext(news(group.MemberJoined))
	if _, err := two.Post(t.Context(), alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Transfer(t.Context(), backend, g.ID, nil, dto.TransferRequest{UserID: "bob"}); err != nil {
		t.Fatal(err)
	}
	bob.wantNext(news(group.OwnerTransferred))
	own, err := two.Create(t.Context(), user("bob"), dto.CreateRequest{Name: "own"})
	if err != nil {
		t.Fatal(err)
	}
	bob.wantNext(`group:mine {"groupId":"` + own.ID + `","type":"group.created"}`)
	if err := one.RemoveMember(t.Context(), backend, g.ID, "alice", false); err != nil {
		t.Fatal(err)
	}
	if _, err := one.AddMembers(t.Context(), backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"carl"}}); err != nil {
		t.Fatal(err)
	}
	carl.wantNext(news(group.MemberJoined))
	if err := one.RemoveMember(t.Context(), backend, g.ID, "carl", false); err != nil {
		t.Fatal(err)
	}
	carl.wantNext(news(group.MemberRemoved))
	silent.call("group:mine", `{}`) // receives only changes from now on
	if err := two.Delete(t.Context(), backend, own.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := one.AddMembers(t.Context(), backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"dora"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.UpdateMember(t.Context(), backend, g.ID, "bob", dto.UpdateMemberRequest{Attributes: json.RawMessage(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	silent.wantNext(news(group.MemberUpdated))
	bob.wantNext(news(group.MemberUpdated))
}
