package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestHTTPMessages(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID + "/messages"
	const key = "Idempotency-Key: k"
	message := servicetest.Decode[group.Event](t, d.do(t, user("member"), "POST", path, `{"data":"one"}`).body)
	this := fmt.Sprint(path, "/", message.Version)

	edited := d.do(t, user("member"), "PATCH", this, `{"data":"two"}`, key)
	again := d.do(t, user("member"), "PATCH", this, `{"data":"two"}`, key)
	if e := servicetest.Decode[group.Event](t, edited.body); edited.status != 200 || e.Type != group.MessageEdited || string(e.Data) != `{"version":6,"data":"two"}` {
		t.Errorf("edited: %+v", edited)
	}
	if again.body != edited.body || again.status != 200 {
		t.Errorf("again: %+v", again)
	}
	for _, c := range []struct{ who, method, path, body, want string }{
		{"member", "PATCH", this, `{}`, "422 validation_failed data"},
		{"member", "PATCH", this, `{"data":1,"version":6}`, "422 validation_failed version"},
		{"member", "PATCH", this, `[`, "400 bad_request"},
		{"member", "PATCH", path + "/x", `{"data":1}`, "422 validation_failed version"},
		{"member", "DELETE", path + "/99", ``, "404 not_found"},
		{"other", "PATCH", this, `{"data":1}`, "403 forbidden"},
		{"other", "DELETE", this, ``, "403 forbidden"},
		{"stranger", "DELETE", this, ``, "404 not_found"},
		{"member", "DELETE", this, ``, "200"},
		{"member", "DELETE", this, ``, "404 not_found"},
	} {
		if got := d.do(t, user(c.who), c.method, c.path, c.body).problem(t); got != c.want {
			t.Errorf("%s %s %s by %s: %s, want %s", c.method, strings.TrimPrefix(c.path, path), c.body, c.who, got, c.want)
		}
	}
}

func TestHTTPMessageList(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID + "/messages"
	for n := range 5 { // versions 6 to 10
		d.do(t, user("member"), "POST", path, fmt.Sprintf(`{"data":%d}`, n))
	}
	d.do(t, user("member"), "DELETE", path+"/9", ``)
	type page struct {
		Items      []struct{ Version int64 }
		NextCursor string
	}
	for _, c := range []struct{ query, want string }{
		{"", "[{10} {9} {8} {7} {6}]"},
		{"?limit=2", "[{10} {9}] [{8} {7}] [{6}]"},
		{"?before=9&limit=2", "[{8} {7}] [{6}]"},
		{"?before=6", "[]"},
	} {
		var pages []string
		for next := path + c.query; next != ""; {
			got := d.do(t, user("member"), "GET", next, ``)
			p := servicetest.Decode[page](t, got.body)
			pages, next = append(pages, fmt.Sprint(p.Items)), ""
			if p.NextCursor != "" {
				next = path + c.query + "&cursor=" + p.NextCursor
			}
			if len(pages) > 5 {
				t.Fatalf("%s: %v", c.query, pages)
			}
		}
		if got := strings.Join(pages, " "); got != c.want {
			t.Errorf("%q: %s, want %s", c.query, got, c.want)
		}
	}
	first := d.do(t, user("member"), "GET", path+"?limit=2", ``).body
	for _, part := range []string{`{"version":10,"type":"message","data":4,"actor":"member","at":"`, `{"version":9,"type":"message","data":null,"actor":"member","at":"`, `,"deletedAt":"`} {
		if !strings.Contains(first, part) {
			t.Errorf("%s lacks %s", first, part)
		}
	}
	for query, want := range map[string]string{"?before=-1": "422 validation_failed before", "?before=x": "422 validation_failed before", "?cursor=x": "400 bad_request"} {
		if got := d.do(t, user("member"), "GET", path+query, ``).problem(t); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := d.do(t, user("stranger"), "GET", path, ``).problem(t); got != "404 not_found" {
		t.Errorf("a stranger: %s", got)
	}
}

func TestMessagesOverSockets(t *testing.T) {
	t.Parallel()
	n := newNode(t, servicetest.OpenStore(t), adapter.NewMesh())
	g, err := n.Create(t.Context(), alice, dto.CreateRequest{Name: "g"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.AddMembers(t.Context(), backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"member", "other"}}); err != nil {
		t.Fatal(err)
	}
	author, other := n.dial(t, "member"), n.dial(t, "other")
	other.call("group:subscribe", `{"groupId":"`+g.ID+`"}`)
	message := servicetest.Decode[group.Event](t, author.call("group:message", `{"groupId":"`+g.ID+`","data":1}`))
	with := func(rest string) string {
		return fmt.Sprintf(`{"groupId":%q,"version":%d%s}`, g.ID, message.Version, rest)
	}
	edited := author.call("group:message:edit", with(`,"data":2,"key":"k"`))
	if e := servicetest.Decode[group.Event](t, edited); e.Type != group.MessageEdited || string(e.Data) != `{"version":4,"data":2}` {
		t.Errorf("edited: %s", edited)
	}
	for _, c := range []struct{ event, data, want string }{
		{"group:message:edit", with(`,"data":2,"key":"k"`), edited},
		{"group:message:edit", with(``), "error: validation_failed"},
		{"group:message:edit", `{"groupId":"` + g.ID + `","data":2}`, "error: validation_failed"},
		{"group:message:edit", `{"groupId":"` + g.ID + `","version":"6","data":2}`, "error: validation_failed"},
		{"group:message:edit", `{"version":6,"data":2}`, "error: validation_failed"},
		{"group:message:delete", with(`,"data":2`), "error: validation_failed"},
		{"group:message:delete", `{"groupId":"` + g.ID + `"}`, "error: validation_failed"},
	} {
		if got := author.call(c.event, c.data); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.event, c.data, got, c.want)
		}
	}
	if got := other.call("group:message:delete", with(``)); got != "error: forbidden" {
		t.Errorf("deleting another user's message: %s", got)
	}
	deleted := author.call("group:message:delete", with(`,"key":"d"`))
	if e := servicetest.Decode[group.Event](t, deleted); e.Type != group.MessageDeleted || string(e.Data) != `{"version":4}` {
		t.Errorf("deleted: %s", deleted)
	}
	if got := author.call("group:message:delete", with(`,"key":"d"`)); got != deleted {
		t.Errorf("deleting again: %s", got)
	}
	other.wantNext("group:event 4 message.posted", "group:event 5 message.edited", "group:event 6 message.deleted")
}
