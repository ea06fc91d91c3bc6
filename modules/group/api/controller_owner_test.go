package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
)

// TestHTTPOwner also checks headers. TestHTTP does not.
func TestHTTPOwner(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID + "/owner"
	const accepted = `200 "7" "ownerId":"member"`
	for _, s := range []struct {
		who                           auth.Identity
		method, path, body, key, want string // want is the status and ETag, then a part of the body
	}{
		{user("member"), "PUT", "", `{"userId":"member"}`, "", `403  "code":"forbidden"`},
		{alice, "PUT", "", `{"userId":"nobody"}`, "", `404  "code":"not_found"`},
		{user("member"), "POST", "/accept", "", "", `404  "code":"not_found"`},
		{user("outsider"), "POST", "/accept", "", "", `404  "code":"not_found"`},
		{alice, "PUT", "", `{"userId":"member"}`, "", `202  {"status":"offered"}`},
		{alice, "PUT", "", `{"userId":"member"}`, "", `202  {"status":"offered"}`},
		{user("member"), "POST", "/accept", "", "mine", accepted},
		{user("member"), "POST", "/accept", "", "mine", accepted},
		{user("member"), "POST", "/accept", "", "", accepted},
		{alice, "PUT", "", `{"userId":"alice"}`, "", `403  "code":"forbidden"`},
		{backend, "PUT", "", `{"userId":"alice"}`, "", `200 "8" "ownerId":"alice"`},
		{user("member"), "POST", "/accept", "", "mine", accepted}, // the answer of the first call
		{user("member"), "POST", "/accept", "", "", `404  "code":"not_found"`},
		{alice, "PUT", "", `{"userId":"member"}`, "", `202  {"status":"offered"}`},
		{alice, "PUT", "", `{"userId":"alice"}`, "", `200 "8" "ownerId":"alice"`},
		{user("member"), "POST", "/accept", "", "", `404  "code":"not_found"`},
		{alice, "PUT", "", `{"userId":"member"}`, "", `202  {"status":"offered"}`},
		{user("member"), "POST", "/decline", "", "", `204  `},
		{user("member"), "POST", "/decline", "", "", `204  `},
		{user("member"), "POST", "/accept", "", "", `404  "code":"not_found"`},
	} {
		got := d.do(t, s.who, s.method, path+s.path, s.body, "Idempotency-Key: "+s.key)
		want := strings.SplitN(s.want, " ", 3)
		if fmt.Sprint(got.status) != want[0] || got.header.Get("ETag") != want[1] || !strings.Contains(got.body, want[2]) {
			t.Errorf("%s owner%s %s by %s: %d %s %s, want %s", s.method, s.path, s.body, s.who.UserID, got.status, got.header.Get("ETag"), got.body, s.want)
		}
	}
}
