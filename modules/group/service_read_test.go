package group_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestReadMarks(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	member := user("member")
	post := func(who auth.Identity) int64 {
		t.Helper()
		e, err := b.Post(ctx, who, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)})
		if err != nil {
			t.Fatal(err)
		}
		return e.Version
	}
	unread := func(who auth.Identity) int64 {
		t.Helper()
		mine, err := b.ListMine(ctx, who, "", 10)
		if err != nil || len(mine) != 1 {
			t.Fatalf("%d groups, %v", len(mine), err)
		}
		return mine[0].Unread
	}
	var last int64
	for range 3 {
		last = post(alice)
	}
	if a, m := unread(alice), unread(member); a != 0 || m != 3 {
		t.Errorf("the author has %d unread messages, the other member %d", a, m)
	}
	b.Take()
	read := func(who auth.Identity, body string) error {
		return b.MarkRead(ctx, who, g.ID, servicetest.Decode[dto.ReadRequest](t, body))
	}
	if err := read(member, fmt.Sprintf(`{"version":%d}`, last-1)); err != nil {
		t.Fatal(err)
	}
	if n := unread(member); n != 1 {
		t.Errorf("%d unread messages before the last one", n)
	}
	post(member)
	if n := unread(member); n != 0 {
		t.Errorf("the user who answered has %d unread messages", n)
	}
	post(backend)
	if n := unread(member); n != 1 {
		t.Errorf("%d unread messages after a back end's message", n)
	}
	for body, want := range map[string]string{
		`{}`:                                  "validation_failed",
		`{"version":-1}`:                      "validation_failed",
		`{"version":"1"}`:                     "validation_failed",
		`{"version":1,"at":2}`:                "validation_failed",
		fmt.Sprintf(`{"version":%d}`, last+3): "validation_failed",
	} {
		servicetest.WantCode(t, body, read(member, body), want)
	}
	servicetest.WantCode(t, "an outsider", read(user("outsider"), `{"version":1}`), "not_found")
	servicetest.WantCode(t, "a back end", read(backend, `{"version":1}`), "not_member")
	b.Take()
	if err := read(member, `{"version":1}`); err != nil {
		t.Error(err)
	}
	if events := b.Take(); events != nil {
		t.Errorf("a read mark announced %v", events)
	}
}

// told keeps the read marks that subscribers get.
type told []string

func (l *told) Tell(_, userID string, version int64) {
	*l = append(*l, fmt.Sprint(userID, " ", version))
}

func (l *told) take() string {
	text := strings.Join(*l, ", ")
	*l = nil
	return text
}

// TestReadReceipts checks that subscribers get new read marks only if the group shows them.
func TestReadReceipts(t *testing.T) {
	t.Parallel()
	b, marks := servicetest.New(t, group.Config{}), &told{}
	b.Service = group.NewService(group.Config{}, group.Deps{Repository: b.Store, Log: b.Store, Announcer: b, Signaler: b, Marks: marks})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	read := func(who auth.Identity, body string) {
		t.Helper()
		if err := b.MarkRead(ctx, who, g.ID, servicetest.Decode[dto.ReadRequest](t, body)); err != nil {
			t.Error(err)
		}
	}
	needTold := func(what, want string) {
		t.Helper()
		if got := marks.take(); got != want {
			t.Errorf("%s: subscribers got %q, want %q", what, got, want)
		}
	}
	show := func(shown bool) {
		t.Helper()
		updated, err := b.Update(ctx, user("admin"), g.ID, nil, servicetest.Decode[dto.UpdateRequest](t, fmt.Sprintf(`{"readReceipts":%t}`, shown)))
		if err != nil || updated.ReadReceipts != shown {
			t.Fatalf("%t, %v; want %t", updated.ReadReceipts, err, shown)
		}
	}
	read(user("member"), `{"version":4}`)
	needTold("a group that does not show marks", "")
	show(true)
	read(user("member"), `{"version":5}`)
	read(user("member"), `{"version":3}`)
	read(backend, `{"version":6,"userId":"other"}`)
	needTold("two that moved", "member 5, other 6")
	members, _, err := b.Members(ctx, user("member"), g.ID, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range members {
		listed = append(listed, fmt.Sprint(m.UserID, " ", *m.ReadVersion))
	}
	if got := strings.Join(listed, ", "); got != "admin 1, alice 0, member 5, other 6" {
		t.Errorf("listed: %s", got)
	}
	show(false)
	read(user("member"), `{"version":6}`)
	needTold("a group that no longer shows marks", "")
}
