package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
)

func TestHTTPInvitations(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID
	eve := user("eve")
	for _, s := range []struct {
		who                      auth.Identity
		method, path, body, want string // want is the status, then a part of the body
	}{
		{eve, "GET", "/me/invitations", "", `200 {"items":[]}`},
		{eve, "POST", path + "/invitations/accept", "", `404 "code":"not_found"`},
		{alice, "POST", path + "/members", `{"userIds":["eve","member","fay"]}`, `200 {"items":[],"invited":["eve","fay"],"version":7}`},
		{alice, "POST", path + "/members", `{"userIds":["eve"]}`, `200 {"items":[],"invited":["eve"],"version":7}`},
		{alice, "POST", path + "/members", `{"userIds":["member"]}`, `200 {"items":[],"version":7}`},
		{eve, "GET", "/me/invitations", "", `200 {"items":[{"groupId":"` + g.ID + `","groupName":"g","invitedBy":"alice","at":"2026-11-23T10:00:00.123456Z","expiresAt":"2026-12-23T10:00:00.123456Z"}]}`},
		{eve, "GET", path, "", `404 "code":"not_found"`},
		{eve, "POST", path + "/invitations/accept", "{}", `200 {"userId":"eve","name":"EVE","role":"member"`},
		{eve, "POST", path + "/invitations/accept", "", `200 {"userId":"eve","name":"EVE","role":"member"`},
		{eve, "GET", "/me/invitations", "", `200 {"items":[]}`},
		{user("fay"), "POST", path + "/invitations/decline", "", `204 `},
		{user("fay"), "POST", path + "/invitations/decline", "", `404 "code":"not_found"`},
		{user("fay"), "POST", path + "/invitations/accept", "", `404 "code":"not_found"`},
		{eve, "POST", path + "/leave", "", `204 `},
		{backend, "POST", path + "/members", `{"userIds":["eve"]}`, `200 {"items":[{"userId":"eve"`},
	} {
		got := d.do(t, s.who, s.method, s.path, s.body)
		status, part, _ := strings.Cut(s.want, " ")
		if fmt.Sprint(got.status) != status || !strings.Contains(got.body, part) {
			t.Errorf("%s %s %s by %s: %d %s, want %s", s.method, s.path, s.body, s.who.UserID, got.status, got.body, s.want)
		}
	}
}
