package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestInvitesOverHTTP(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID + "/invites"
	made := d.do(t, alice, "POST", path, "")
	if made.status != 201 {
		t.Fatalf("%d %s", made.status, made.body)
	}
	invite := servicetest.Decode[group.NewInvite](t, made.body)
	if want := fmt.Sprintf(`{"inviteId":%q,"uses":0,"createdAt":"2026-11-23T10:00:00.123456Z","createdBy":"alice","code":%q}`,
		invite.InviteID, invite.Code); made.body != want {
		t.Errorf("made %s, want %s", made.body, want)
	}
	bounded := d.do(t, alice, "POST", path, `{"maxUses":3,"expiresAt":"2026-11-24T10:00:00Z"}`)
	if !strings.Contains(bounded.body, `"maxUses":3,"uses":0,"expiresAt":"2026-11-24T10:00:00Z"`) {
		t.Errorf("made %s", bounded.body)
	}
	for _, s := range []struct{ method, path, want string }{
		{"POST", "/invites/" + invite.Code + "/accept", `200 {"userId":"eve","name":"EVE","role":"member"`},
		{"POST", "/invites/" + invite.Code + "/accept", `200 {"userId":"eve"`},
		{"GET", path, `403 "code":"forbidden"`},
		{"DELETE", path + "/" + invite.InviteID, `403 "code":"forbidden"`},
	} {
		status, part, _ := strings.Cut(s.want, " ")
		if got := d.do(t, user("eve"), s.method, s.path, ""); fmt.Sprint(got.status) != status || !strings.Contains(got.body, part) {
			t.Errorf("%s %s: %d %s, want %s", s.method, s.path, got.status, got.body, s.want)
		}
	}
	listed := d.do(t, alice, "GET", path+"?limit=1", "")
	if strings.Contains(listed.body, "code") || !strings.Contains(listed.body, `"maxUses":3`) || !strings.Contains(listed.body, `"nextCursor"`) {
		t.Errorf("listed %s", listed.body)
	}
	if got := d.do(t, alice, "DELETE", path+"/"+invite.InviteID, ""); got.status != 204 {
		t.Errorf("revoked: %d %s", got.status, got.body)
	}
	if got := d.do(t, user("fay"), "POST", "/invites/"+invite.Code+"/accept", ""); got.problem(t) != "410 invite_invalid" {
		t.Errorf("accepting a revoked invite: %s", got.body)
	}
}
