package api_test

import (
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/web"
)

func TestHTTPUser(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d.sockets = []socket.Info{
		{ID: "s2", UserID: "alice", Node: "http://n2", Transport: "polling", Address: "10.0.0.2", Since: since.Add(time.Second)},
		{ID: "s1", UserID: "alice", Node: "n1", Transport: "websocket", Address: "10.0.0.1", Since: since},
	}
	const both = `[{"id":"s1","node":"n1","transport":"websocket","address":"10.0.0.1","since":"2026-03-01T12:00:00Z"},` +
		`{"id":"s2","node":"http://n2","transport":"polling","address":"10.0.0.2","since":"2026-03-01T12:00:01Z"}]`
	for _, missing := range []string{"", "http://n3"} {
		want := `{"userId":"alice","groups":1,"owned":1,"sockets":` + both + `,"complete":true}`
		if missing != "" {
			d.missing = []string{missing}
			want = `{"userId":"alice","groups":1,"owned":1,"sockets":` + both + `,"complete":false,"missing":["http://n3"]}`
		}
		if got := d.do(t, backend, "GET", "/users/alice", ""); got.status != 200 || got.body != want {
			t.Errorf("alice: %d %s, want %s", got.status, got.body, want)
		}
	}
	d.sockets, d.missing = nil, nil
	if got := d.do(t, backend, "GET", "/users/no%2Fbody", ""); got.body != `{"userId":"no/body","groups":0,"owned":0,"sockets":[],"complete":true}` {
		t.Errorf("an unknown user: %d %s", got.status, got.body)
	}

	list := d.do(t, backend, "GET", "/users/member/groups", "")
	mine := d.do(t, user("member"), "GET", "/me/groups", "")
	if list.body != mine.body || len(servicetest.Decode[web.Page[group.Membership]](t, list.body).Items) != 1 {
		t.Errorf("groups of member: %s, as they see them: %s", list.body, mine.body)
	}
	second := d.NewGroup(t, `{"name":"h"}`)
	page := servicetest.Decode[web.Page[group.Membership]](t, d.do(t, backend, "GET", "/users/member/groups?limit=1", "").body)
	if len(page.Items) != 1 || page.Items[0].ID != second.ID {
		t.Fatalf("the first page: %+v", page)
	}
	page = servicetest.Decode[web.Page[group.Membership]](t, d.do(t, backend, "GET", "/users/member/groups?limit=1&cursor="+page.NextCursor, "").body)
	if len(page.Items) != 1 || page.Items[0].ID != g.ID || page.NextCursor != "" {
		t.Errorf("the second page: %+v", page)
	}
	for _, path := range []string{"/users/alice", "/users/alice/groups"} {
		if p := d.do(t, alice, "GET", path, "").problem(t); p != "403 forbidden" {
			t.Errorf("%s of alice herself: %s", path, p)
		}
	}
	for _, path := range []string{"/users/a%01b", "/users/a%01b/groups"} {
		if p := d.do(t, backend, "GET", path, "").problem(t); p != "422 validation_failed userId" {
			t.Errorf("%s: %s", path, p)
		}
	}
}
