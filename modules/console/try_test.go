package console

import (
	"net/url"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/dto"
)

func TestUser(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, nil)
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess", OwnerID: odd})
	page := "/user?id=" + url.QueryEscape(odd)
	status, body := b.get("/user")
	b.want(status, body, 200, "<h1>Users</h1>")
	status, body = b.get(page)
	b.want(status, body, 200, "<dt>Groups</dt><dd>1</dd>", "groups/"+g.ID+"/member?user=..%2fa", "node-7", "192.0.2.1", "node-8 does not answer")
	status, body = b.post(page, fields("disconnect"))
	b.want(status, body, 200, "The sockets of the user are closed")
	status, body = b.post(page, fields("revoke"))
	b.want(status, body, 200, "are refused")
	if len(b.gone) != 2 || b.gone[0] != odd || b.gone[1] != "tokens of "+odd {
		t.Errorf("it called %q", b.gone)
	}
	status, body = b.post(page, fields("rename", "name", strings.Repeat("x", 300)))
	b.want(status, body, 422, strings.Repeat("x", 300))
	status, body = b.post(page, fields("rename", "name", "Mina"))
	b.want(status, body, 200, "being renamed")
	status, body = b.get("/user?id=a%e2%80%aeb")
	b.want(status, body, 422, "is not a user id")
}

func TestTry(t *testing.T) {
	t.Parallel()
	var minted auth.Identity
	b, s := serveReal(t, func(id auth.Identity) (string, error) {
		minted = id
		return "a.token", nil
	})
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess", OwnerID: "mina"})
	status, body := b.post("/try", fields("token", "userId", "mina", "groupId", g.ID))
	b.want(status, body, 200, `data-token="a.token"`, `data-group="`+g.ID+`"`)
	if minted.UserID != "mina" || minted.Admin || minted.Expires.IsZero() {
		t.Errorf("the token is of %+v", minted)
	}
	status, body = b.post("/try", fields("post", "userId", "mina", "groupId", g.ID, "text", "hello"))
	b.want(status, body, 200, "The message is posted")
	events, _, err := s.Events(t.Context(), backEnd, g.ID, 1, 10)
	if err != nil || len(events) != 1 || *events[0].Actor != "mina" {
		t.Errorf("%+v, %v", events, err)
	}
	status, body = b.post("/try", fields("post", "userId", "bo", "groupId", g.ID, "text", "hello"))
	b.want(status, body, 404, `value="hello"`)
	status, body = b.post("/try", fields("token", "userId", ""))
	b.want(status, body, 422, "is not a user id")

	b, _ = serveReal(t, nil)
	status, body = b.get("/try")
	b.want(status, body, 404, "no such page")
}
