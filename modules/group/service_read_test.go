package group_test

import (
	"encoding/json"
	"fmt"
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
		t.Errorf("%d unread at who wrote, %d at the other", a, m)
	}
	b.Take()
	read := func(who auth.Identity, body string) error {
		return b.MarkRead(ctx, who, g.ID, servicetest.Decode[dto.ReadRequest](t, body))
	}
	if err := read(member, fmt.Sprintf(`{"version":%d}`, last-1)); err != nil {
		t.Fatal(err)
	}
	if n := unread(member); n != 1 {
		t.Errorf("%d unread before the last", n)
	}
	post(member)
	if n := unread(member); n != 0 {
		t.Errorf("%d unread at who answers", n)
	}
	post(backend)
	if n := unread(member); n != 1 {
		t.Errorf("%d unread after a back end's", n)
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
		t.Errorf("a mark told of %v", events)
	}
}
