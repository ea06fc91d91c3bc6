package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestInvitesOfFormerAdmins checks which invites of a former admin are revoked. If the
// admin is removed or banned, they are revoked unless the caller keeps them. If the admin
// becomes a member, they are revoked only if the caller asks for it.
func TestInvitesOfFormerAdmins(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	for _, c := range []struct {
		method, path, body string
		left               int
	}{
		{"DELETE", "/members/admin", "", 1},
		{"DELETE", "/members/admin?revokeInvites=false", "", 3},
		{"PUT", "/bans/admin", "", 1},
		{"PUT", "/bans/admin?revokeInvites=false", "", 3},
		{"PATCH", "/members/admin", `{"role":"member"}`, 3},
		{"PATCH", "/members/admin?revokeInvites=true", `{"role":"member"}`, 1},
		{"PATCH", "/members/admin?revokeInvites=true", `{"attributes":{"a":1}}`, 3},
	} {
		path := "/groups/" + d.NewGroup(t, `{"name":"g"}`).ID
		codes := make(map[string]bool) // whether each invite still works afterwards
		for i := range 3 {
			who := user("admin")
			if i == 0 {
				who = alice
			}
			made := d.do(t, who, "POST", path+"/invites", "")
			_, code, _ := strings.Cut(made.body, `"code":"`)
			code, _, _ = strings.Cut(code, `"`)
			codes[code] = i == 0 || c.left == 3
		}
		what := fmt.Sprintf("%s %s %s", c.method, c.path, c.body)
		if got := d.do(t, alice, c.method, path+c.path, c.body); got.status >= 300 {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		events := d.do(t, alice, "GET", path+"/events?limit=100", "").body
		if left, revoked := strings.Count(d.do(t, alice, "GET", path+"/invites", "").body, "inviteId"), strings.Count(events, "invite.revoked"); left != c.left || revoked != 3-c.left {
			t.Errorf("%s: %d invites are left and %d events say that one is revoked, want %d and %d", what, left, revoked, c.left, 3-c.left)
		}
		for code, works := range codes {
			got := d.do(t, user("guest "+code), "POST", "/invites/"+code+"/accept", "")
			if (got.status == 200) != works || !works && got.status != 410 {
				t.Errorf("%s: accepting an invite that works %v: %d %s", what, works, got.status, got.body)
			}
		}
	}
}
