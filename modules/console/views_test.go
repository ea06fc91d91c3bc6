package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// backEnd is the identity that creates the test data.
var backEnd = auth.Identity{UserID: "backend", Admin: true}

// odd is a user id with characters that must be escaped in paths and HTML.
const odd = `../a/b?&#"<b>%2e é`

// silent drops all announcements of a service.
type silent struct{}

func (silent) Announce(context.Context, []group.Event) {}

func (silent) Cast(context.Context, adapter.Envelope) {}

// here is a presence in which users are online.
type here struct{ at time.Time }

func (h here) List(context.Context, string) ([]group.Present, error) {
	seen := h.at.Add(-4 * time.Second)
	return []group.Present{
		{UserID: odd, Status: group.StatusOnline, State: json.RawMessage(`{"typing":true}`), AsOf: h.at, Nodes: []string{"node-7", "node-8"}},
		{UserID: "mina", Status: group.StatusReconnecting, LastSeenAt: &seen, AsOf: h.at, Reason: group.ReasonDropped},
	}, nil
}

func (here) Count(_ context.Context, ids []string) ([]int, error) { return make([]int, len(ids)), nil }

func (here) SetState(context.Context, string, string, json.RawMessage) error { return nil }

func (b *bench) DisconnectUser(_ context.Context, userID string) error {
	b.gone = append(b.gone, userID)
	return nil
}

func (b *bench) SocketsOfUser(_ context.Context, userID string) (found []socket.Info, missing []string, err error) {
	return []socket.Info{{ID: "s1", UserID: userID, Node: "node-7", Transport: "websocket", Address: "192.0.2.1", Since: time.Now()}}, []string{"node-8"}, fault.ErrUnavailable
}

func (b *bench) Revoke(_ context.Context, userID string, _ time.Time, _ ...audit.Entry) error {
	b.gone = append(b.gone, "tokens of "+userID)
	return nil
}

// serveReal serves a console of a real service on SQLite. Its session may make all changes.
func serveReal(t *testing.T, mint Mint) (*bench, *group.Service) {
	t.Helper()
	store := sqlstore.New(databasetest.Open(t, ""))
	s := group.NewService(group.Config{}, group.Deps{Repository: store, Log: store, Announcer: silent{}, Signaler: silent{}, Presence: here{time.Now()}})
	b := serve(t, mint, s)
	b.signInAs("admin")
	return b, s
}

func makeGroup(t *testing.T, s *group.Service, req dto.CreateRequest) group.Group {
	t.Helper()
	g, err := s.Create(t.Context(), backEnd, req)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fields returns the fields of a form, including the form's name.
func fields(form string, pairs ...string) url.Values {
	values := url.Values{"form": {form}}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values
}

// without fails the test if a page contains one of the texts.
func (b *bench) without(body string, texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if strings.Contains(body, text) {
			b.t.Errorf("%q is in:\n%s", text, body)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, nil)
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess <i>", OwnerID: odd, Attributes: json.RawMessage(`{"level":"3","region":"kr"}`)})
	gone := makeGroup(t, s, dto.CreateRequest{Name: "gone", OwnerID: "mina"})
	if err := s.Delete(t.Context(), backEnd, gone.ID, nil); err != nil {
		t.Fatal(err)
	}
	for i := range pageSize {
		makeGroup(t, s, dto.CreateRequest{Name: fmt.Sprint("room ", i), OwnerID: "mina"})
	}
	row := `<a href="./groups/` + g.ID + `">chess &lt;i&gt;</a>`
	for _, query := range []string{
		"q=hess", "q=" + g.ID, "owner=" + url.QueryEscape(odd), "attribute=level%3d3", "attribute=level%3d3&attribute=&attribute=region%3dkr", "owner=" + url.QueryEscape(odd) + "&sort=members", "owner=" + url.QueryEscape(odd) + "&sort=activity",
	} {
		status, body := b.get("/groups?" + query)
		b.want(status, body, 200, row, "id=..%2fa%2fb%3f%26%23%22%3cb%3e%252e%20%c3%a9")
		b.without(body, "room 1", "Next page")
	}
	status, body := b.get("/groups")
	b.want(status, body, 200, "Next page", "room 49")
	b.without(body, row)
	next := regexp.MustCompile(`href="(\?after=[^"]*)"`).FindStringSubmatch(body)
	if next == nil {
		t.Fatal("there is no link to the next page")
	}
	status, body = b.get("/groups" + next[1])
	b.want(status, body, 200, row, "First page")
	status, body = b.get("/groups?deleted=yes")
	b.want(status, body, 200, gone.ID, "deleted 20")
	for _, query := range []string{"q=x&sort=members", "attribute=level", "deleted=yes&sort=activity"} {
		status, body = b.get("/groups?" + query)
		b.want(status, body, 200, `role="alert"`, "There are no such groups")
	}
	for _, query := range []string{"attribute=level%3d3&attribute=region%3djp", "attribute=level%3d3&attribute=level%3d4"} {
		status, body = b.get("/groups?" + query)
		b.want(status, body, 200, "There are no such groups", "and attribute", `value="level=3"`)
		b.without(body, `role="alert"`)
	}
	status, body = b.get("/groups?q=0198c9d2-0000-7000-8000-000000000000")
	b.want(status, body, 200, "There are no such groups")

	status, body = b.post("/groups", fields("create", "name", "mine <b>", "visibility", "public", "joinPolicy", "open"))
	b.want(status, body, 422, "ownerId", `value="mine &lt;b&gt;"`, "<option selected>open")
	status, body = b.post("/groups", fields("create", "name", "mine", "ownerId", "mina", "visibility", "public", "joinPolicy", "open"))
	b.want(status, body, 200, "<h1>mine</h1>", "The group is created")
	entries, err := s.Audit(t.Context(), backEnd, audit.Filter{Actor: "ops"}, "", 10)
	if err != nil || len(entries) != 1 || entries[0].Via != audit.Console || entries[0].Action != "create" {
		t.Errorf("the audit log has %+v, %v", entries, err)
	}
	status, body = b.post("/groups", fields("nothing"))
	b.want(status, body, 400, "no such form")

	b.signInAs("console.read")
	status, body = b.get("/groups")
	b.want(status, body, 200)
	b.without(body, "Create a group")
	status, body = b.post("/groups", fields("create", "name", "mine", "ownerId", "mina"))
	b.want(status, body, 403, "may only look")
}

func TestGroup(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, nil)
	ends := time.Now().Add(time.Hour)
	g := makeGroup(t, s, dto.CreateRequest{
		Name: "chess", OwnerID: "mina", Attributes: json.RawMessage(`{"a":{"b":1,"c":2},"d":3}`), EndsAt: &ends, RemindBefore: []int{600, 60},
	})
	page := "/groups/" + g.ID
	status, body := b.get(page)
	b.want(status, body, 200, "reminder, 10m0s before the end", "the group ends", `name="revision" value="1"`, `href="./../user?id=mina"`)

	status, body = b.get("/schedule")
	b.want(status, body, 200, `<a href="./groups/`+g.ID+`">chess</a></td><td>reminder</td>`)

	edit := fields("edit", "revision", "1", "name", "Go", "description", "two\r\nlines", "visibility", "public", "joinPolicy", "open", "posting", "admins",
		"readReceipts", "yes", "capacity", "7", "attributes", `{"a":{"b":5},"e":[1, 2]}`, "endsAt", stamp(&ends), "remindBefore", "60")
	status, body = b.post(page, edit)
	b.want(status, body, 200, "<h1>Go</h1>", "The change is saved", "two\nlines", `name="revision" value="2"`)
	got, err := s.Get(t.Context(), backEnd, g.ID)
	if err != nil || string(got.Attributes) != `{"a":{"b":5},"e":[1,2]}` || *got.Capacity != 7 || !got.ReadReceipts || len(got.RemindBefore) != 1 || got.EndsAt.Sub(ends).Abs() > time.Millisecond {
		t.Errorf("%v, %+v", err, got)
	}

	// After a conflict, the page shows both values. The next try replaces the stored one.
	edit.Set("name", "mine")
	status, body = b.post(page, edit)
	b.want(status, body, 412, `value="mine"`, "Now: <q>Go</q>", `name="revision" value="2"`)
	b.without(body, "Now: <q>public</q>")
	edit.Set("revision", "2")
	status, body = b.post(page, edit)
	b.want(status, body, 200, "<h1>mine</h1>")
	for field, value := range map[string]string{"capacity": "many", "attributes": "[]", "remindBefore": "soon", "endsAt": "later", "name": "", "revision": "x"} {
		wrong := url.Values{}
		for name, values := range edit {
			wrong[name] = values
		}
		wrong.Set("revision", "3")
		wrong.Set(field, value)
		status, body = b.post(page, wrong)
		b.want(status, body, 422, "<code>"+field+"</code>", "two\nlines")
	}

	status, body = b.post(page, fields("extend", "by", "much"))
	b.want(status, body, 422, `value="much"`)
	status, body = b.post(page, fields("extend", "by", "2h"))
	later := ends.Add(2 * time.Hour)
	b.want(status, body, 200, stamp(&later))
	status, body = b.post(page, fields("end"))
	b.want(status, body, 200, "The group ends in a moment")
	if got, err = s.Get(t.Context(), backEnd, g.ID); err != nil || time.Until(*got.EndsAt) > soon {
		t.Errorf("it ends at %v, %v", got.EndsAt, err)
	}

	status, body = b.post(page, fields("delete", "confirm", "yes"))
	b.want(status, body, 422, "must be the name or the id", `value="yes"`)
	status, body = b.post(page, fields("delete", "confirm", "mine"))
	b.want(status, body, 200, "<h1>Groups</h1>", "The group is deleted")
	status, body = b.get(page)
	b.want(status, body, 404, "no such thing")
	status, body = b.get("/groups/nonsense")
	b.want(status, body, 404, "no such thing")
}

// TestMembers checks that users with any id can be added, changed and removed.
func TestMembers(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, nil)
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess", OwnerID: "mina", ReadReceipts: true})
	page, one := "/groups/"+g.ID+"/members", "/groups/"+g.ID+"/member?user="+url.QueryEscape(odd)
	status, body := b.get(one)
	b.want(status, body, 200, "The user is no member")
	status, body = b.post(page, fields("add", "userIds", odd+"\r\n\r\nbo\r\n"))
	b.want(status, body, 200, "The users are members", "member?user=..%2fa%2fb", "&lt;b&gt;", "bo", "online", "reconnecting")
	status, body = b.post(page, fields("add", "userIds", "a\u202eb"))
	b.want(status, body, 422, "userIds", "a\u202eb")

	change := func(want string, form url.Values) {
		t.Helper()
		status, body := b.post(one, form)
		b.want(status, body, 200, want)
	}
	change("<dt>Role</dt><dd>admin</dd>", fields("role", "role", "admin"))
	change("&#34;seat&#34;: 4", fields("attributes", "attributes", `{"seat": 4}`))
	change("until somebody lifts it", fields("mute"))
	if err := s.RemoveMember(t.Context(), backEnd, g.ID, odd, false); err != nil {
		t.Fatal(err)
	}
	mutes := "/groups/" + g.ID + "/mutes"
	status, body = b.get(mutes)
	b.want(status, body, 200, "member?user=..%2fa%2fb", "<td>somebody lifts it</td>")
	status, body = b.post(page, fields("add", "userIds", odd))
	b.want(status, body, 200, "<td>yes</td>")
	status, body = b.post(mutes, fields("unmute", "userId", odd))
	b.want(status, body, 200, "The mute is lifted", "Nobody is muted")
	change("until 2", fields("mute", "expiresAt", stamp(tomorrow())))
	status, body = b.get(page)
	b.want(status, body, 200, "<td>until "+tomorrow().UTC().Format("2006-01-02"))
	change("<dt>Muted</dt><dd>no</dd>", fields("unmute"))
	status, body = b.post(one, fields("role", "role", "king"))
	b.want(status, body, 422, "<code>role</code>")
	status, body = b.post(one, fields("mute", "expiresAt", "never"))
	b.want(status, body, 422, `value="never"`)
	change("The group has a new owner", fields("transfer"))
	status, body = b.post(one, fields("ban", "reason", "spam"))
	b.want(status, body, 409, "hand the group over", `value="spam"`)
	status, body = b.post("/groups/"+g.ID+"/member?user=mina", fields("transfer"))
	b.want(status, body, 200, "The group has a new owner")
	change("The user is no member any more", fields("remove"))
	change("<h1>chess</h1>", fields("ban", "reason", "spam", "expiresAt", stamp(tomorrow())))
	status, body = b.get("/groups/" + g.ID + "/bans")
	b.want(status, body, 200, "spam", "&lt;b&gt;")
	status, body = b.post("/groups/"+g.ID+"/bans", fields("unban", "userId", odd))
	b.want(status, body, 200, "Nobody is banned")
	status, body = b.post("/groups/"+g.ID+"/bans", fields("ban", "userId", "mina"))
	b.want(status, body, 409, `value="mina"`)
}

func tomorrow() *time.Time {
	at := time.Now().Add(24 * time.Hour)
	return &at
}

func TestApplications(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, nil)
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess", OwnerID: "mina", Visibility: "public", JoinPolicy: "request"})
	for _, id := range []string{odd, "bo"} {
		if _, err := s.Join(t.Context(), auth.Identity{UserID: id}, g.ID); err != nil {
			t.Fatal(err)
		}
	}
	page := "/groups/" + g.ID + "/requests"
	b.signInAs("console.read")
	for _, list := range []string{"requests", "invites", "bans", "mutes"} {
		status, body := b.get("/groups/" + g.ID + "/" + list)
		b.want(status, body, 200, "may only look")
		b.without(body, `name="form"`)
	}
	status, body := b.get(page)
	b.want(status, body, 200, "bo", "&lt;b&gt;")
	b.signInAs("admin groups:read")
	status, body = b.get(page)
	b.want(status, body, 403, "members:write")
	b.signInAs("admin")
	status, body = b.get(page)
	b.want(status, body, 200, "Approve", "bo", "&lt;b&gt;")
	status, body = b.post(page, fields("approve", "userId", odd))
	b.want(status, body, 200, "The user is a member")
	status, body = b.post(page, fields("reject", "userId", "bo"))
	b.want(status, body, 200, "Nobody asks")
	status, body = b.post(page, fields("approve", "userId", "bo"))
	b.want(status, body, 404, `role="alert"`, "Nobody asks")

	page = "/groups/" + g.ID + "/invites"
	status, body = b.post(page, fields("create", "maxUses", "few"))
	b.want(status, body, 422, `value="few"`)
	status, body = b.post(page, fields("create", "maxUses", "3"))
	b.want(status, body, 200, "It is shown only now", "0 of 3")
	code := regexp.MustCompile(`invite is <code>([^<]+)</code>`).FindStringSubmatch(body)
	if code == nil {
		t.Fatal("the code is not shown")
	}
	if _, err := s.Accept(t.Context(), auth.Identity{UserID: "cy"}, code[1]); err != nil {
		t.Errorf("the code is not good: %v", err)
	}
	status, body = b.get(page)
	b.want(status, body, 200, "1 of 3")
	b.without(body, code[1])
	id := regexp.MustCompile(`name="inviteId" value="([^"]+)"`).FindStringSubmatch(body)
	status, body = b.post(page, fields("revoke", "inviteId", id[1]))
	b.want(status, body, 200, "The group has no invites")
}

func TestLog(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, nil)
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess", OwnerID: "mina"})
	post := func(data string) {
		t.Helper()
		if _, err := s.Post(t.Context(), backEnd, g.ID, dto.MessageRequest{Data: json.RawMessage(data)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 70 {
		post(fmt.Sprintf(`{"text":"<script>n%d<"}`, i))
	}
	page := "/groups/" + g.ID + "/log"
	status, body := b.get(page)
	b.want(status, body, 200, "&lt;script&gt;n69&lt;", `href="?version=21"`, "<th scope=\"row\">71</th>")
	b.without(body, "<script>n", "n19&lt;")
	status, body = b.get(page + "?version=21")
	b.want(status, body, 200, "group.created", "n19&lt;", "First page", "from 1 on")
	b.without(body, "n20&lt;", "Next page")
	status, body = b.get(page + "?type=group")
	b.want(status, body, 200, "group.created")
	b.without(body, "message.posted</td>")
	status, body = b.get(page + "?actor=nobody")
	b.want(status, body, 200, "no such events")
	status, body = b.get(page + "?version=first")
	b.want(status, body, 422, "must be a version")

	large := `{"text":"` + strings.Repeat("x", 30<<10) + `"}`
	for range 20 {
		post(large)
	}
	status, body = b.get(page)
	b.want(status, body, 200, "Next page")
	if n := strings.Count(body, "message.posted</td>"); n < 2 || n > 10 {
		t.Errorf("a page of large events has %d", n)
	}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, nil)
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess", OwnerID: "mina"})
	status, body := b.get("/groups/" + g.ID + "/presence")
	b.want(status, body, 200, "&lt;b&gt;", "typing", "<td>node-7, node-8</td>", "reconnecting", "<td>dropped</td><td>6s</td>")
}
