package api_test

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestHTTPMutes(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID
	for _, c := range []struct{ who, method, path, body, want string }{
		{"admin", "PUT", "/mutes/member", `{"expiresAt":"2000-01-01T00:00:00Z"}`, "422 validation_failed expiresAt"},
		{"admin", "PUT", "/mutes/member", `{"reason":"x"}`, "422 validation_failed reason"},
		{"admin", "PUT", "/mutes/member", `{"expiresAt":"2099-01-01T00:00:00Z"}`, "200"},
		{"member", "POST", "/messages", `{"data":1}`, "403 muted"},
		{"member", "POST", "/signals", `{"type":"wave"}`, "403 muted"},
		{"member", "DELETE", "/mutes/member", ``, "403 forbidden"},
		{"member", "GET", "/messages", ``, "200"},
		{"admin", "PUT", "/mutes/alice", ``, "403 forbidden"},
		{"admin", "PUT", "/mutes/stranger", ``, "404 not_found"},
		{"admin", "DELETE", "/mutes/member", ``, "204"},
		{"member", "POST", "/messages", `{"data":1}`, "201"},
		{"alice", "PUT", "/mutes/admin", ``, "200"},
	} {
		if got := d.do(t, user(c.who), c.method, path+c.path, c.body).problem(t); got != c.want {
			t.Errorf("%s %s %s by %s: %s, want %s", c.method, c.path, c.body, c.who, got, c.want)
		}
	}
	d.do(t, alice, "PUT", path+"/mutes/member", `{"expiresAt":"2099-01-01T00:00:00Z"}`)
	members := d.do(t, alice, "GET", path+"/members", ``).body
	for _, part := range []string{`{"userId":"admin","role":"admin",`, `"muted":true},`, `"muted":true,"mutedUntil":"2099-01-01T00:00:00Z"}`} {
		if !strings.Contains(members, part) {
			t.Errorf("%s lacks %s", members, part)
		}
	}
}

// TestMutedOverSockets mutes a member through one node while the member's socket follows
// the group on another node. That node must refuse the member's signals until the mute is
// lifted.
func TestMutedOverSockets(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	one, two := newNode(t, st, mesh), newNode(t, st, mesh)
	g, err := one.Create(t.Context(), alice, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open"})
	if err != nil {
		t.Fatal(err)
	}
	here, wave := `{"groupId":"`+g.ID+`"}`, `{"groupId":"`+g.ID+`","type":"wave"}`
	bob, alsoBob := two.dial(t, "bob"), two.dial(t, "bob")
	bob.call("group:join", here)
	bob.call("group:subscribe", here)
	speaks := func(c *client, want string) {
		t.Helper()
		for event, data := range map[string]string{"group:signal": wave, "group:message": `{"groupId":"` + g.ID + `","data":1}`} {
			got := c.call(event, data)
			if ok := !strings.HasPrefix(got, "error: "); ok != (want == "ok") || !ok && got != want {
				t.Errorf("%s answers %s, want %s", event, got, want)
			}
		}
	}
	speaks(bob, "ok")
	speaks(alsoBob, "ok") // this socket is not subscribed; the node has cached the membership
	bob.wantInAnyOrder("group:event 3 message.posted", "group:event 4 message.posted", `group:signal {"groupId":"`+g.ID+`","from":"bob","type":"wave","data":null}`)
	if _, err := one.Mute(t.Context(), alice, g.ID, "bob", dto.MuteRequest{}); err != nil {
		t.Fatal(err)
	}
	bob.wantNext("group:event 5 member.muted")
	speaks(bob, "error: muted")
	speaks(alsoBob, "error: muted")
	if got := bob.call("presence:set", `{"groupId":"`+g.ID+`","state":{}}`); got == "error: muted" {
		t.Errorf("setting a state answers %s", got)
	}
	// A socket that subscribes while the user is muted may not signal either.
	alsoBob.call("group:subscribe", here)
	speaks(alsoBob, "error: muted")
	if err := one.Unmute(t.Context(), alice, g.ID, "bob"); err != nil {
		t.Fatal(err)
	}
	bob.wantNext("group:event 6 member.unmuted")
	speaks(bob, "ok")
	if m, err := one.Member(t.Context(), alice, g.ID, "bob"); err != nil || m.Muted || m.Role != group.MemberRole {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestPostingOverSockets changes through one node who may post, while sockets follow the
// group on another node.
func TestPostingOverSockets(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	one, two := newNode(t, st, mesh), newNode(t, st, mesh)
	g, err := one.Create(t.Context(), alice, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open"})
	if err != nil {
		t.Fatal(err)
	}
	here, wave := `{"groupId":"`+g.ID+`"}`, `{"groupId":"`+g.ID+`","type":"wave"}`
	owner, bob := one.dial(t, "alice"), two.dial(t, "bob")
	bob.call("group:join", here)
	bob.call("group:subscribe", here)
	for _, c := range []struct{ posting, want string }{{"admins", "error: forbidden"}, {"members", "{}"}} {
		if got := owner.call("group:update", `{"groupId":"`+g.ID+`","posting":"`+c.posting+`"}`); !strings.Contains(got, `"posting":"`+c.posting+`"`) {
			t.Errorf("updated: %s", got)
		}
		if got := bob.next(); !strings.HasSuffix(got, " group.updated") {
			t.Errorf("received %s", got)
		}
		if got := bob.call("group:signal", wave); got != c.want {
			t.Errorf("a member's signal where %s post answers %s, want %s", c.posting, got, c.want)
		}
		if got := owner.call("group:signal", wave); got != "{}" {
			t.Errorf("the owner's signal where %s post answers %s", c.posting, got)
		}
		if got := bob.next(); !strings.HasPrefix(got, "group:signal ") {
			t.Errorf("received %s", got)
		}
	}
}
