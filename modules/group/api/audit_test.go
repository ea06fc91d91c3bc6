package api_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/web"
)

func TestHTTPAudit(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	page := func(query string) web.Page[audit.Entry] {
		t.Helper()
		got := d.do(t, backend, "GET", "/audit"+query, "")
		if got.status != 200 {
			t.Fatalf("%s: %d %s", query, got.status, got.body)
		}
		return servicetest.Decode[web.Page[audit.Entry]](t, got.body)
	}
	for _, c := range []struct{ method, path, body string }{
		{"PATCH", "/groups/" + g.ID, `{"name":"h"}`},
		{"PUT", "/groups/" + g.ID + "/bans/other", `{"reason":"spam"}`},
		{"POST", "/users/member/disconnect", ``},
		{"POST", "/users/member/revoke", `{"before":"2026-01-01T00:00:00Z"}`},
		{"PATCH", "/users/member", `{"name":"Mo"}`},
	} {
		if got := d.do(t, backend, c.method, c.path, c.body); got.status >= 300 {
			t.Fatalf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
	}
	var got []string
	for _, e := range page("").Items {
		got = append(got, e.Action+" "+e.UserID)
	}
	want := []string{"rename-user member", "revoke-tokens member", "disconnect-user member", "ban other", "update ", "add-members "}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("the log has %q, want %q", got, want)
		}
	}
	revoked := page("?target=member").Items[1]
	if revoked.RequestID == "" {
		t.Errorf("an entry without the id of its request: %+v", revoked)
	}
	if string(revoked.After) != `{"tokens":{"issuedBefore":"2026-01-01T00:00:00Z"}}` || string(revoked.Before) != `{}` || revoked.GroupID != "" {
		t.Errorf("revoked: %+v", revoked)
	}
	first := page("?limit=2&actor=backend&target=" + g.ID)
	if len(first.Items) != 2 || first.Items[0].Action != "ban" || first.NextCursor == "" {
		t.Fatalf("the first page: %+v", first)
	}
	rest := page("?limit=2&actor=backend&target=" + g.ID + "&cursor=" + first.NextCursor)
	if len(rest.Items) != 1 || rest.Items[0].Action != "add-members" || rest.NextCursor != "" {
		t.Errorf("the second page: %+v", rest)
	}
	since := url.QueryEscape(first.Items[0].At.Format(time.RFC3339Nano))
	if n := len(page("?target=" + g.ID + "&since=" + since).Items); n != 1 && n != 2 { // entries can share a millisecond
		t.Errorf("since the last change of the group: %d entries", n)
	}
	if n := len(page("?actor=nobody").Items); n != 0 {
		t.Errorf("a user without changes has %d entries", n)
	}
	for query, want := range map[string]string{
		"?since=yesterday":                                "422 validation_failed since",
		"?actor=" + strings.Repeat("a", 200):              "422 validation_failed actor",
		"?target=" + g.ID + "&cursor=" + first.NextCursor: "400 bad_request",
	} {
		if p := d.do(t, backend, "GET", "/audit"+query, "").problem(t); p != want {
			t.Errorf("%s: %s, want %s", query, p, want)
		}
	}
	if p := d.do(t, alice, "GET", "/audit", "").problem(t); p != "403 forbidden" {
		t.Errorf("a user who is no back end: %s", p)
	}
}
