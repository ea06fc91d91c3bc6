package api_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/web"
)

func TestHTTP(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)

	made := d.do(t, alice, "POST", "/groups", `{"name":"Study","visibility":"public","joinPolicy":"open"}`)
	if made.status != 201 || made.header.Get("ETag") != `"1"` {
		t.Fatalf("%d %s %s", made.status, made.header, made.body)
	}
	g := servicetest.Decode[group.Group](t, made.body)
	path := "/groups/" + g.ID
	if "/"+made.header.Get("Location") != path {
		t.Errorf("location %s", made.header.Get("Location"))
	}
	var keys []string
	for k := range servicetest.Decode[map[string]any](t, made.body) {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if diff := cmp.Diff(strings.Fields("attributes capacity createdAt description id joinPolicy memberCount name ownerId posting readReceipts revision updatedAt version visibility"), keys); diff != "" {
		t.Error(diff)
	}

	bob, back := user("bob"), backend
	steps := []struct {
		who                auth.Identity
		method, path, body string
		want               string // the status, then a part of the answer
	}{
		{bob, "GET", path, "", `200 "name":"Study"`},
		{bob, "GET", path + "/members", "", `403 "code":"not_member"`},
		{bob, "POST", path + "/join", "", `200 "role":"member"`},
		{bob, "POST", path + "/join", "{}", `200 "name":"BOB"`},
		{bob, "GET", path + "/members", "", `200 "version":2`},
		{bob, "GET", path + "/members/alice", "", `200 "role":"owner"`},
		{bob, "GET", path + "/members/nobody", "", `404 "code":"not_found"`},
		{bob, "PATCH", path, `{"name":"x"}`, `403 "code":"forbidden"`},
		{alice, "PATCH", path, `{"name":"x"}`, `200 "revision":3`},
		{alice, "PATCH", path, `{"name":"x"}`, `200 "version":3`},
		{back, "POST", path + "/members", `{"userIds":["cat","dog/1"]}`, `200 "version":5}`},
		{alice, "PATCH", path + "/members/dog%2F1", `{"role":"admin"}`, `200 "role":"admin"`},
		{alice, "DELETE", path + "/members/dog%2F1", "", `204 `},
		{alice, "DELETE", path + "/members/alice", "", `409 "code":"owner_must_transfer"`},
		{bob, "PATCH", path + "/members/me", `{"name":"Bob!"}`, `200 {"userId":"bob","name":"Bob!","role":"member","attributes":{},"joinedAt"`},
		{bob, "PATCH", path + "/members/me", `{"name":"BOB","profile":{"bio":"hi"}}`, `200 "attributes":{},"profile":{"bio":"hi"},"joinedAt"`},
		{bob, "PATCH", path + "/members/me", `{"name":"BOB","profile":null}`, `200 "attributes":{},"joinedAt"`},
		{bob, "PATCH", path + "/members/me", `{"name":"","role":"admin"}`, `422 "field":"role"`},
		{user("ivy"), "PATCH", path + "/members/me", `{"name":"x"}`, `403 "code":"not_member"`},
		{back, "PATCH", path + "/members/me", `{"name":"x"}`, `403 "code":"not_member"`},
		{alice, "POST", path + "/members", `{"userIds":["cat"],"names":{"cat":"Cat"}}`, `403 "code":"forbidden"`},
		{bob, "POST", path + "/messages", `{"data":{"n":1}}`, `201 "data":{"type":"message","data":{"n":1}}`},
		{bob, "POST", path + "/signals", `{"type":"wave","data":1}`, `202 {}`},
		{bob, "GET", path + "/events?since=10", "", `200 "version":11}`},
		{bob, "GET", path + "/presence", "", `503 "code":"unavailable"`},
		{bob, "PUT", path + "/read", `{"version":1}`, `204`},
		{bob, "GET", "/me/groups", "", `200 "role":"member","readVersion":`},
		{bob, "GET", "/groups?visibility=public&q=x", "", `200 "name":"x"`},
		{bob, "GET", "/groups?sort=active", "", `403 "code":"forbidden"`},
		{bob, "GET", "/groups?ownerId=bob", "", `403 "code":"forbidden"`},
		{back, "GET", "/groups?sort=active&ownerId=alice", "", `200 "activeAt":`},
		{back, "GET", "/groups?deleted=true", "", `200 {"items":[]}`},
		{back, "GET", "/groups?deleted=true&sort=active", "", `422 "field":"sort"`},
		{back, "GET", "/groups?q=x", "", `200 "name":"x"`},
		{back, "GET", "/groups?q=x&sort=members", "", `422 "field":"q"`},
		{back, "GET", "/groups?sort=members", "", `200 "memberCount":`},
		{back, "GET", "/groups?attr.color=red&attr.level=3", "", `200 {"items":[]}`},
		{back, "GET", "/groups?attr.color=red&attr.color=blue", "", `422 "field":"attr.color"`},
		{back, "GET", "/groups?attr.color=red&visibility=public", "", `422 "field":"visibility"`},
		{back, "GET", "/groups?attr.=red", "", `422 "field":"attr."`},
		{back, "GET", "/groups?attr.%00=red", "", `200 {"items":[]}`},
		{bob, "GET", "/groups?attr.color=red", "", `403 "code":"forbidden"`},
		{back, "GET", "/groups?q=x&visibility=public", "", `200 "name":"x"`},
		{bob, "GET", "/groups?q=nothing", "", `200 {"items":[]}`},
		{alice, "PUT", path + "/owner", `{"userId":"bob"}`, `202 {"status":"offered"}`},
		{bob, "POST", path + "/owner/accept", "", `200 "ownerId":"bob"`},
		{bob, "POST", path + "/leave", "", `409 "code":"owner_must_transfer"`},
		{back, "PUT", path + "/owner", `{"userId":"alice"}`, `200 "ownerId":"alice"`},
		{alice, "PATCH", path, `{"joinPolicy":"request"}`, `200 "joinPolicy":"request"`},
		{user("fay"), "POST", path + "/join", "", `202 {"status":"requested"}`},
		{user("fay"), "POST", path + "/join", "", `202 {"status":"requested"}`},
		{user("gus"), "POST", path + "/join", "", `202 {"status":"requested"}`},
		{user("fay"), "GET", path + "/requests", "", `403 "code":"not_member"`},
		{alice, "GET", path + "/requests?limit=1", "", `200 {"items":[{"userId":"fay","name":"FAY","at":"2026-11-23T10:00:00.123456Z"}],"nextCursor":"`},
		{alice, "POST", path + "/requests/fay/approve", "", `200 {"userId":"fay","name":"FAY","role":"member"`},
		{alice, "POST", path + "/requests/gus/reject", "", `204 `},
		{alice, "POST", path + "/requests/gus/reject", "", `404 "code":"not_found"`},
		{user("ivy"), "POST", path + "/join", "", `202 {"status":"requested"}`},
		{user("ivy"), "GET", "/me/requests", "", `200 {"items":[{"groupId":"` + g.ID + `","groupName":"x","at":"2026-11-23T10:00:00.123456Z"}]}`},
		{user("ivy"), "DELETE", path + "/requests/me", "", `204 `},
		{user("ivy"), "DELETE", path + "/requests/me", "", `204 `},
		{user("ivy"), "GET", "/me/requests", "", `200 {"items":[]}`},
		{user("fay"), "POST", path + "/join", "", `200 {"userId":"fay","name":"FAY","role":"member"`},
		{alice, "GET", path + "/requests", "", `200 {"items":[]}`},
		{alice, "PUT", path + "/bans/cat", `{"reason":"spam"}`, `200 {"userId":"cat","reason":"spam","actor":"alice","at":`},
		{alice, "PUT", path + "/bans/eve%2F1", ``, `200 {"userId":"eve/1","actor":"alice","at":`},
		{user("cat"), "POST", path + "/join", "", `403 "code":"banned"`},
		{alice, "POST", path + "/members", `{"userIds":["dan","cat"]}`, `403 "errors":[{"field":"userIds[1]"`},
		{alice, "GET", path + "/bans?limit=1", "", `200 "nextCursor":"`},
		{user("cat"), "GET", path + "/bans", "", `403 "code":"not_member"`},
		{alice, "DELETE", path + "/bans/cat", "", `204 `},
		{alice, "DELETE", path + "/bans/cat", "", `204 `},
		{alice, "GET", path + "/bans", "", `200 {"items":[{"userId":"eve/1",`},
		{bob, "POST", path + "/leave", "", `204 `},
		{bob, "POST", path + "/leave", "", `403 "code":"not_member"`},
		{alice, "POST", path + "/leave", "", `409 "code":"owner_must_transfer"`},
		{bob, "PATCH", "/users/bob", `{"name":"B"}`, `403 "code":"forbidden"`},
		{back, "PATCH", "/users/bob", `{"name":""}`, `422 "field":"name"`},
		{back, "PATCH", "/users/bob", `{"name":"B"}`, `202 {"jobId":"`},
		{bob, "POST", "/users/alice/disconnect", "", `403 "code":"forbidden"`},
		{back, "POST", "/users/alice/disconnect", "", `204 `},
		{bob, "POST", path + "/join", "", `202 "requested"`},
		{back, "POST", path + "/requests/bob/approve", "", `200 "userId":"bob"`},
		{alice, "PUT", path + "/read", `{"version":1,"userId":"bob"}`, `403 "code":"forbidden"`},
		{alice, "POST", path + "/leave", `{"userId":"bob"}`, `403 "code":"forbidden"`},
		{back, "PUT", path + "/read", `{"version":3,"userId":"bob"}`, `204 `},
		{back, "PUT", path + "/read", `{"version":3,"userId":"nobody"}`, `403 "code":"not_member"`},
		{back, "POST", path + "/leave", `{"userId":"bob"}`, `204 `},
		{back, "POST", path + "/leave", `{"userId":"bob"}`, `403 "code":"not_member"`},
		{back, "POST", path + "/leave", `{"userId":"alice"}`, `409 "code":"owner_must_transfer"`},
		{back, "POST", path + "/leave", `{"user":"alice"}`, `422 "field":"user"`},
		{bob, "POST", "/users/alice/revoke", "", `403 "code":"forbidden"`},
		{back, "POST", "/users/alice/revoke", `{"before":"2020-01-01T00:00:00Z"}`, `204 `},
		{back, "POST", "/users/alice/revoke", `{"before":"9020-01-01T00:00:00Z"}`, `422 "field":"before"`},
		{back, "POST", "/groups", `{"name":"for bob","ownerId":"bob","ownerName":"Bob"}`, `201 "ownerId":"bob"`},
		{alice, "POST", "/groups", `{"name":"for bob","ownerId":"bob"}`, `403 "code":"forbidden"`},
		{back, "DELETE", path, "", `204 `},
		{alice, "GET", path, "", `404 "code":"not_found"`},
		{alice, "GET", path + "/events", "", `404 "code":"not_found"`},
	}
	for _, s := range steps {
		status, part, _ := strings.Cut(s.want, " ")
		got := d.do(t, s.who, s.method, s.path, s.body)
		if fmt.Sprint(got.status) != status || !strings.Contains(got.body, part) {
			t.Errorf("%s %s %s by %s: %d %s, want %s", s.method, s.path, s.body, s.who.UserID, got.status, got.body, s.want)
		}
	}
	if diff := cmp.Diff([]string{"alice"}, d.disconnected); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"alice 2020-01-01T00:00:00Z"}, d.revoked); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPProblems(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path := "/groups/" + g.ID
	for _, c := range []struct{ method, path, body, header, want string }{
		{"POST", "/groups", `{"name":7,"extra":1,"capacity":0,"attributes":[]}`, "", "422 validation_failed name extra capacity attributes"},
		{"POST", "/groups", `{"name":`, "", "400 bad_request"},
		{"POST", "/groups", ``, "", "400 bad_request"},
		{"POST", "/groups", `[]`, "", "422 validation_failed body name"},
		{"POST", "/groups", `{"name":"x","endsAt":"2020-01-01T00:00:00Z"}`, "", "422 validation_failed endsAt"},
		{"POST", "/groups", `{"name":"x"}`, "Idempotency-Key: " + strings.Repeat("k", 256), "422 validation_failed Idempotency-Key"},
		{"POST", "/groups", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, "", "413 payload_too_large"},
		{"POST", path + "/messages", `{"data":"` + strings.Repeat("x", 33<<10) + `"}`, "", "422 validation_failed data"},
		{"PATCH", path, `{"name":null}`, "", "422 validation_failed name"},
		{"PATCH", path, `{"name":"h"}`, `If-Match: "99"`, "412 version_conflict"},
		{"PATCH", path, `{"name":"h"}`, `If-Match: 1`, "400 bad_request"},
		{"PATCH", path, `{"name":"h"}`, `If-Match: "` + fmt.Sprint(g.Revision) + `"`, "200"},
		{"PATCH", path, `{"name":"i"}`, `If-Match: *`, "200"},
		{"PATCH", path, `{"name":"j"}`, `Content-Type: application/merge-patch+json`, "200"},
		{"PATCH", path, `{"name":"k"}`, `Content-Type: text/plain`, "400 bad_request"},
		{"PATCH", path, `{"capacity":1}`, ``, "409 group_full"},
		{"PUT", path + "/owner", `{"userId":"member"}`, `If-Match: "99"`, "412 version_conflict"},
		{"PATCH", path + "/members/member", `{"attributes":{"a":1}}`, `If-Match: "1"`, "400 bad_request"},
		{"GET", path, ``, `If-Match: "99"`, "200"},
		{"PUT", path + "/owner", `{"user":"member"}`, ``, "422 validation_failed user userId"},
		{"PUT", path + "/bans/x", `{"reason":7,"until":1,"expiresAt":"2000-01-01T00:00:00Z"}`, ``, "422 validation_failed reason until expiresAt"},
		{"POST", path + "/invites", `{"maxUses":0,"expiresAt":"2000-01-01T00:00:00Z","code":"x"}`, ``, "422 validation_failed code maxUses expiresAt"},
		{"POST", path + "/invites", `{"maxUses":"many"}`, ``, "422 validation_failed maxUses"},
		{"POST", "/invites/nonsense/accept", ``, ``, "410 invite_invalid"},
		{"POST", "/invites/%00%ff/accept", ``, ``, "400 bad_request"},
		{"PUT", path + "/bans/x", `{"expiresAt":"tomorrow"}`, ``, "422 validation_failed expiresAt"},
		{"PUT", path + "/bans/" + strings.Repeat("x", 129), ``, ``, "422 validation_failed userId"},
		{"DELETE", path, ``, `If-Match: "99"`, "412 version_conflict"},
		{"PATCH", path + "/members/admin", `{"role":"owner"}`, "", "422 validation_failed role"},
		{"GET", "/groups?visibility=private", ``, "", "422 validation_failed visibility"},
		{"GET", "/groups?limit=201", ``, "", "422 validation_failed limit"},
		{"GET", "/groups?cursor=nonsense", ``, "", "400 bad_request"},
		{"GET", "/groups?q=" + strings.Repeat("x", 201), ``, "", "422 validation_failed q"},
		{"GET", path + "/events?since=-1", ``, "", "422 validation_failed since"},
		{"GET", path + "/events?since=x", ``, "", "422 validation_failed since"},
		{"GET", "/groups/x", ``, "", "404 not_found"},
	} {
		got := d.do(t, alice, c.method, c.path, c.body, c.header)
		if p := got.problem(t); p != c.want {
			t.Errorf("%s %s %.60s %s: %s, want %s", c.method, c.path, c.body, c.header, p, c.want)
		}
	}
	// The request id is fixed, so that the answers for a hidden group and a missing group
	// must be equal.
	const id = "X-Request-Id: same"
	there := d.do(t, user("outsider"), "GET", path, "", id)
	nowhere := d.do(t, user("outsider"), "GET", "/groups/0190f5fe-7c00-7a00-8abc-012345678901", "", id)
	if there.body != nowhere.body || there.status != 404 {
		t.Errorf("the answers differ: %s and %s", there.body, nowhere.body)
	}
}

func TestHTTPPages(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g","visibility":"public"}`)
	for range 2 {
		d.NewGroup(t, `{"name":"g","visibility":"public"}`)
	}
	// walk follows the cursors. It returns the number of items on each page.
	walk := func(path string) []int {
		var sizes []int
		for cursor := ""; ; {
			got := d.do(t, alice, "GET", path+"limit=2&cursor="+cursor, "")
			page := servicetest.Decode[struct {
				Items      []json.RawMessage `json:"items"`
				NextCursor string            `json:"nextCursor"`
			}](t, got.body)
			sizes = append(sizes, len(page.Items))
			if cursor = page.NextCursor; cursor == "" || len(sizes) > 5 {
				return sizes
			}
		}
	}
	for path, want := range map[string][]int{
		"/groups?":                        {2, 1},
		"/groups?q=g&":                    {2, 1},
		"/me/groups?":                     {2, 1},
		"/groups/" + g.ID + "/members?":   {2, 2},
		"/groups/" + g.ID + "/events?":    {2},
		"/groups/" + g.ID + "/presence?x": {0},
	} {
		if diff := cmp.Diff(want, walk(path)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	cursor := servicetest.Decode[web.Page[group.Group]](t, d.do(t, alice, "GET", "/groups?limit=1", "").body).NextCursor
	if p := d.do(t, alice, "GET", "/me/groups?cursor="+cursor, "").problem(t); p != "400 bad_request" {
		t.Errorf("a cursor of another list: %s", p)
	}
}

// TestHTTPDocument checks that every operation has a description and documents its errors.
func TestHTTPDocument(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/openapi.json", nil)
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, req)
	doc := servicetest.Decode[struct {
		Paths map[string]map[string]struct {
			Summary   string
			Responses map[string]json.RawMessage
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]json.RawMessage
				Required   []string
			}
		}
	}](t, rec.Body.String())
	operations := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			operations++
			if op.Summary == "" || op.Responses["401"] == nil || op.Responses["403"] == nil || op.Responses["429"] == nil || op.Responses["500"] == nil || op.Responses["503"] == nil {
				t.Errorf("%s %s: %+v", method, path, op)
			}
		}
	}
	if operations != 54 {
		t.Errorf("%d operations", operations)
	}
	join := doc.Paths["/v1/groups/{groupId}/join"]["post"].Responses
	if !strings.Contains(string(join["200"]), "schemas/Member") || !strings.Contains(string(join["202"]), "requested") {
		t.Errorf("join: %s %s", join["200"], join["202"])
	}
	owner := doc.Paths["/v1/groups/{groupId}/owner"]["put"].Responses
	if done := string(owner["200"]); !strings.Contains(done, "schemas/Group") || !strings.Contains(done, "ETag") || !strings.Contains(string(owner["202"]), "offered") {
		t.Errorf("owner: %s %s", done, owner["202"])
	}
	request := doc.Components.Schemas["CreateRequest"]
	if len(request.Properties) != 12 || !slices.Equal(request.Required, []string{"name"}) {
		t.Errorf("CreateRequest: %+v", request)
	}
	if doc.Components.Schemas["Problem"].Properties["code"] == nil {
		t.Error("problems are not described")
	}
}

func TestHTTPIdempotencyKey(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	const key = "Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324"
	first := d.do(t, alice, "POST", "/groups", `{"name":"g","visibility":"public","joinPolicy":"request"}`, key)
	again := d.do(t, alice, "POST", "/groups", `{ "joinPolicy": "request", "visibility": "public", "name": "g" }`, key)
	if first.status != 201 || again.status != 201 || first.body != again.body || first.header.Get("Location") != again.header.Get("Location") {
		t.Errorf("answered %+v and %+v", first, again)
	}
	if got := d.do(t, alice, "POST", "/groups", `{"name":"h"}`, key).problem(t); got != "422 idempotency_mismatch" {
		t.Errorf("another body under the key: %s", got)
	}
	if got := d.do(t, user("bob"), "POST", "/groups", `{"name":"h"}`, key); got.status != 201 {
		t.Errorf("bob's call with the same key: %+v", got)
	}
	path := "/groups/" + servicetest.Decode[group.Group](t, first.body).ID
	for range 2 {
		if got := d.do(t, user("bob"), "POST", path+"/join", "", "Idempotency-Key: join"); got.status != 202 {
			t.Errorf("asked to join: %+v", got)
		}
	}
	for range 2 {
		got := d.do(t, backend, "POST", "/users/bob/disconnect", "", "Idempotency-Key: out")
		if got.status != 204 || len(d.disconnected) != 1 {
			t.Errorf("%+v, and the sockets of %v were closed", got, d.disconnected)
		}
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	made := d.do(t, alice, "POST", "/groups", `{"name":"Study","visibility":"public","joinPolicy":"open"}`)
	path := "/groups/" + servicetest.Decode[group.Group](t, made.body).ID + "/signals"
	for _, c := range []struct {
		who        auth.Identity
		path, body string
		want       int
	}{
		{alice, path, `{"type":"wave","data": {"n": 1}}`, 202},
		{alice, path, `{"type":"wave","to":["bob"]}`, 202},
		{alice, path, `{"type":"wave","to":[]}`, 202},
		{alice, path, `{"type":""}`, 422},
		{alice, path, `{"type":1,"more":2}`, 422},
		{alice, path, `[]`, 422},
		{alice, path, `{"type":"wave"`, 400},
		{user("bob"), path, `{"type":"wave"}`, 403},
		{alice, strings.Replace(path, "0", "1", 1), `{"type":"wave"}`, 404},
		{alice, "/groups/none/signals", `{"type":"wave"}`, 404},
	} {
		before, want := len(d.Signals), 0
		if c.want == 202 && !strings.Contains(c.body, `"to":[]`) {
			want = 1
		}
		if got := d.do(t, c.who, "POST", c.path, c.body); got.status != c.want {
			t.Errorf("%s: %d %s", c.body, got.status, got.body)
		}
		if n := len(d.Signals) - before; n != want {
			t.Errorf("%s: %d signals were sent, want %d", c.body, n, want)
		}
	}
}
