package api_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// The last event that a banned user receives is the one that says so.
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
