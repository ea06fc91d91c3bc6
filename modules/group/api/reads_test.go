package api_test

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestHTTPReadReceipts(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	created := d.do(t, alice, "POST", "/groups", `{"name":"g","readReceipts":true}`).body
	if !strings.Contains(created, `"readReceipts":true`) {
		t.Errorf("created %s", created)
	}
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID
	for _, c := range []struct{ who, body, want string }{
		{"member", `{"readReceipts":true}`, "403 forbidden"},
		{"admin", `{"readReceipts":null}`, "422 validation_failed readReceipts"},
		{"admin", `{"readReceipts":"yes"}`, "422 validation_failed readReceipts"},
		{"admin", `{"readReceipts":true}`, "200"},
	} {
		if got := d.do(t, user(c.who), "PATCH", path, c.body).problem(t); got != c.want {
			t.Errorf("%s by %s: %s, want %s", c.body, c.who, got, c.want)
		}
	}
	d.do(t, user("member"), "PUT", path+"/read", `{"version":4}`)
	list := func(want bool) {
		t.Helper()
		got := d.do(t, user("other"), "GET", path+"/members", ``).body
		if strings.Contains(got, `"readVersion":4`) != want {
			t.Errorf("listed: %s; want readVersion: %t", got, want)
		}
	}
	list(true)
	d.do(t, alice, "PATCH", path, `{"readReceipts":false}`)
	list(false)
}

// TestReadsOverSockets checks that a read mark is sent to the group's subscribers on every
// node, and to nobody else.
func TestReadsOverSockets(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	one, two := newNode(t, st, mesh), newNode(t, st, mesh)
	g, err := one.Create(t.Context(), alice, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open", ReadReceipts: true})
	if err != nil {
		t.Fatal(err)
	}
	here := `{"groupId":"` + g.ID + `"}`
	read := func(version, more string) string {
		return `{"groupId":"` + g.ID + `","version":` + version + more + `}`
	}
	told := func(items string) string { return `group:read {"groupId":"` + g.ID + `","items":[` + items + `]}` }
	owner, bob, server, outsider := one.dial(t, "alice"), two.dial(t, "bob"), two.dial(t, "backend"), two.dial(t, "eve")
	bob.call("group:join", here)
	for _, c := range []*client{owner, bob, server} {
		c.call("group:subscribe", here)
	}
	if got := outsider.call("group:subscribe", here); got != "error: not_member" {
		t.Errorf("an outsider subscribes: %s", got)
	}
	bob.call("group:read", read("2", ""))
	bob.call("group:read", read("1", ""))
	for _, c := range []*client{owner, bob, server} {
		c.wantNext(told(`{"userId":"bob","version":2}`))
	}
	server.call("group:read", read("2", `,"userId":"alice"`))
	for _, c := range []*client{owner, bob, server} {
		c.wantNext(told(`{"userId":"alice","version":2}`))
	}
	// While the group does not show read marks, none are sent. The next message is a later
	// mark.
	owner.call("group:update", `{"groupId":"`+g.ID+`","readReceipts":false}`)
	bob.call("group:read", read("3", ""))
	owner.call("group:update", `{"groupId":"`+g.ID+`","readReceipts":true}`)
	owner.call("group:read", read("4", ""))
	for _, c := range []*client{owner, bob, server} {
		c.wantInAnyOrder("group:event 3 group.updated", "group:event 4 group.updated", told(`{"userId":"alice","version":4}`))
	}
	if len(outsider.pushed) > 0 {
		t.Errorf("an outsider received %v", outsider.pushed)
	}
	if got := outsider.call("group:unsubscribe", here); got != "{}" || len(outsider.pushed) > 0 {
		t.Errorf("%s; an outsider received %v", got, outsider.pushed)
	}
}
