package console

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/dto"
)

var onceKey = regexp.MustCompile(`name="once" value="([^"]+)"`)

// TestFormsOnce checks that a form that is sent twice, as by a double click, makes one change and
// says so. The same form on a reloaded page must make another change.
func TestFormsOnce(t *testing.T) {
	t.Parallel()
	b, s := serveReal(t, func(auth.Identity) (string, error) { return "a.token", nil })
	g := makeGroup(t, s, dto.CreateRequest{Name: "chess", OwnerID: "mina", Attributes: json.RawMessage(`{"level":1}`)})
	twice := func(page string, form url.Values) {
		t.Helper()
		_, body := b.get(page)
		key := onceKey.FindStringSubmatch(body)
		if key == nil {
			t.Fatalf("the forms of %s have no key", page)
		}
		if forms, keys := strings.Count(body, `<form method="post"`), strings.Count(body, `name="once"`); forms != keys {
			t.Errorf("%s has %d forms, %d with a key", page, forms, keys)
		}
		form.Set("once", key[1])
		status, first := b.post(page, form)
		b.want(status, first, 200)
		status, second := b.post(page, form)
		if b.want(status, second, 200); heading(first) != heading(second) {
			t.Errorf("%s leads to %q and then to %q", form.Get("form"), heading(first), heading(second))
		}
	}
	version := func() int64 {
		t.Helper()
		got, err := s.Get(t.Context(), backEnd, g.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got.Version
	}
	page := "/groups/" + g.ID
	for _, c := range []struct {
		page   string
		form   url.Values
		events int64
	}{
		{page, fields("edit", "revision", "1", "name", "Go", "visibility", "public", "joinPolicy", "open", "posting", "members", "attributes", `{"level": 2}`), 1},
		{page, fields("extend", "by", "2h"), 1},
		{page, fields("extend", "by", "2h"), 1},
		{page + "/members", fields("add", "userIds", "bo\r\ncy"), 2},
		{page + "/member?user=bo", fields("attributes", "attributes", `{"seat": 4}`), 1},
		{page + "/member?user=bo", fields("mute"), 1},
		{page + "/mutes", fields("unmute", "userId", "bo"), 1},
		{page + "/member?user=cy", fields("ban"), 1},
		{page + "/bans", fields("unban", "userId", "cy"), 0},
		{page + "/invites", fields("create", "maxUses", "3"), 1},
		{"/try", fields("post", "userId", "mina", "groupId", g.ID, "text", "hello"), 1},
		{"/try", fields("post", "userId", "mina", "groupId", g.ID, "text", "hello"), 1},
		{page + "/member?user=bo", fields("remove"), 1},
		{page, fields("end"), 0}, // a moment from now
	} {
		before := version()
		if c.form.Get("form") == "end" {
			twice(c.page, c.form)
			continue
		}
		if twice(c.page, c.form); version() != before+c.events {
			t.Errorf("%s makes %d events, want %d", c.form.Get("form"), version()-before, c.events)
		}
	}
	twice(page, fields("delete", "confirm", g.ID))
	twice("/groups", fields("create", "name", "twice", "ownerId", "mina"))
	_, body := b.get("/groups?q=twice")
	if n := strings.Count(body, ">twice</a>"); n != 1 {
		t.Errorf("%d groups were created", n)
	}
}

func heading(page string) string { return regexp.MustCompile(`<h1>.*</h1>`).FindString(page) }
