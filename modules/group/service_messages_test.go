package group_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// edit returns a request for new data.
func edit(data string) dto.EditMessageRequest {
	return dto.EditMessageRequest{Data: json.RawMessage(data)}
}

// postAs posts a message and returns its version.
func postAs(t *testing.T, b *servicetest.Bench, userID, groupID, data string) int64 {
	t.Helper()
	e, err := b.Post(t.Context(), user(userID), groupID, dto.MessageRequest{Data: json.RawMessage(data)})
	if err != nil {
		t.Fatal(err)
	}
	return e.Version
}

// logAfter returns the events after a version as a member reads them, as "version type
// data". The time of an edit or a deletion is replaced by the version of its event, because
// events can have the same time.
func logAfter(t *testing.T, b *servicetest.Bench, groupID string, since int64) []string {
	t.Helper()
	events, _, err := b.Events(t.Context(), alice, groupID, since, 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	fields := map[group.EventType]string{group.MessageEdited: "editedAt", group.MessageDeleted: "deletedAt"}
	times := make(map[string]string)
	for _, e := range events {
		raw, err := json.Marshal(e.At)
		if err != nil {
			t.Fatal(err)
		}
		field := fields[e.Type]
		times[fmt.Sprintf("%q:%s", field, raw)] = fmt.Sprintf(`%q:"at %d"`, field, e.Version)
	}
	for _, e := range events {
		line := fmt.Sprint(e.Version, " ", e.Type, " ", string(e.Data))
		for at, name := range times {
			line = strings.ReplaceAll(line, at, name)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestEditAndDeleteMessages(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, testEditAndDelete)
}

func testEditAndDelete(t *testing.T, st grouptest.Store) {
	b := servicetest.NewOn(group.Config{}, st)
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	one := postAs(t, b, "member", g.ID, `{"text": "first <thought>"}`) // version 6
	two := postAs(t, b, "member", g.ID, `"second"`)                    // version 7
	b.Take()

	first, err := b.EditMessage(ctx, user("member"), g.ID, one, edit(`{"text": "second thought"}`))
	if err != nil {
		t.Fatal(err)
	}
	if first.Type != group.MessageEdited || *first.Actor != "member" || string(first.Data) != `{"version":6,"data":{"text":"second thought"}}` {
		t.Errorf("edited: %+v %s", first, first.Data)
	}
	if diff := cmp.Diff([]group.Event{first}, b.TakeEvents()); diff != "" {
		t.Errorf("subscribers: %s", diff)
	}
	if diff := cmp.Diff([]string{
		`6 message.posted {"type":"message","data":{"text":"second thought"},"editedAt":"at 8","editedIn":8}`,
		`7 message.posted {"type":"message","data":"second"}`,
		`8 message.edited {"version":6,"data":{"text":"second thought"}}`,
	}, logAfter(t, b, g.ID, 5)); diff != "" {
		t.Errorf("the log with an edit: %s", diff)
	}
	if _, err := b.EditMessage(ctx, user("admin"), g.ID, one, edit(`"an admin's"`)); err != nil {
		t.Fatal(err)
	}
	deletion, err := b.DeleteMessage(ctx, backend, g.ID, two)
	if err != nil || deletion.Type != group.MessageDeleted || string(deletion.Data) != `{"version":7}` {
		t.Errorf("deleted: %+v %s, %v", deletion, deletion.Data, err)
	}
	if diff := cmp.Diff([]string{
		`6 message.posted {"type":"message","data":"an admin's","editedAt":"at 9","editedIn":9}`,
		`7 message.posted {"type":"message","data":null,"deletedAt":"at 10"}`,
		`8 message.edited {"version":6,"data":null,"replacedIn":9}`,
		`9 message.edited {"version":6,"data":"an admin's"}`,
		`10 message.deleted {"version":7}`,
	}, logAfter(t, b, g.ID, 5)); diff != "" {
		t.Errorf("the log with a second edit and a deletion: %s", diff)
	}
	if _, err := b.DeleteMessage(ctx, user("member"), g.ID, one); err != nil {
		t.Fatal(err)
	}
	whole := strings.Join(logAfter(t, b, g.ID, 0), "\n")
	for _, text := range []string{"thought", "second", "admin's"} {
		if strings.Contains(whole, text) {
			t.Errorf("the log still holds %q:\n%s", text, whole)
		}
	}
	if after := b.Read(t, g.ID); after.Revision != g.Revision || after.Version != 11 {
		t.Errorf("the group is %+v", after)
	}
}

func TestWhoEditsAndDeletesMessages(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","visibility":"public"}`)
	mine, gone := postAs(t, b, "member", g.ID, `1`), postAs(t, b, "member", g.ID, `2`)
	if _, err := b.DeleteMessage(ctx, user("member"), g.ID, gone); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, who string
		version   int64
		want      string
	}{
		{"another's message", "other", mine, "forbidden"},
		{"a stranger", "stranger", mine, "not_member"},
		{"a deleted message", "member", gone, "not_found"},
		{"another kind of event", "alice", 1, "not_found"},
		{"the event of the deletion", "alice", gone + 1, "not_found"},
		{"no event", "alice", 99, "not_found"},
		{"no version", "alice", 0, "not_found"},
		{"a version below all", "alice", -1, "not_found"},
	} {
		_, err := b.EditMessage(ctx, user(c.who), g.ID, c.version, edit(`3`))
		servicetest.WantCode(t, "editing: "+c.name, err, c.want)
		_, err = b.DeleteMessage(ctx, user(c.who), g.ID, c.version)
		servicetest.WantCode(t, "deleting: "+c.name, err, c.want)
	}
	for _, data := range []string{``, `{`, `"` + strings.Repeat("x", 32<<10) + `"`} {
		_, err := b.EditMessage(ctx, user("member"), g.ID, mine, edit(data))
		servicetest.WantCode(t, fmt.Sprintf("editing with %.5s", data), err, "validation_failed")
	}
	if version := b.Read(t, g.ID).Version; version != gone+1 {
		t.Errorf("the group has version %d", version)
	}
}

// TestUnreadAndDeletedMessages checks that a deleted message does not count as unread.
func TestUnreadAndDeletedMessages(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g"}`)
	one := postAs(t, b, "member", g.ID, `1`)
	postAs(t, b, "member", g.ID, `2`)
	if _, err := b.EditMessage(ctx, user("member"), g.ID, one, edit(`3`)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.DeleteMessage(ctx, user("member"), g.ID, one); err != nil {
		t.Fatal(err)
	}
	unread := func(want int64) {
		t.Helper()
		mine, err := b.ListMine(ctx, user("other"), "", 10)
		if err != nil || len(mine) != 1 || mine[0].Unread != want {
			t.Errorf("%+v, %v; want %d unread", mine, err, want)
		}
	}
	unread(1)
	for _, c := range []struct{ read, left int64 }{{one, 1}, {b.Read(t, g.ID).Version, 0}} {
		if err := b.MarkRead(ctx, user("other"), g.ID, dto.ReadRequest{Version: &c.read}); err != nil {
			t.Fatal(err)
		}
		unread(c.left)
	}
}

func TestListMessages(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	ctx := t.Context()
	g := b.NewGroup(t, `{"name":"g","visibility":"public"}`)
	one, two := postAs(t, b, "member", g.ID, `1`), postAs(t, b, "other", g.ID, `2`)
	three := postAs(t, b, "member", g.ID, `3`)
	edited, err1 := b.EditMessage(ctx, alice, g.ID, one, edit(`{"new":true}`))
	deleted, err2 := b.DeleteMessage(ctx, alice, g.ID, two)
	posted, _, err3 := b.Events(ctx, alice, g.ID, one-1, 3)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	want := []group.Message{
		{Version: three, Type: "message", Data: json.RawMessage(`3`), Actor: new("member"), At: posted[2].At},
		{Version: two, Type: "message", Data: json.RawMessage(`null`), Actor: new("other"), At: posted[1].At, DeletedAt: &deleted.At},
		{Version: one, Type: "message", Data: json.RawMessage(`{"new":true}`), Actor: new("member"), At: posted[0].At, EditedAt: &edited.At},
	}
	all, err := b.Messages(ctx, user("member"), g.ID, 0, 10)
	if diff := cmp.Diff(want, all); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	page, err := b.Messages(ctx, user("member"), g.ID, three, 1)
	if diff := cmp.Diff(want[1:2], page); diff != "" || err != nil {
		t.Errorf("before the newest: %v %s", err, diff)
	}
	_, err = b.Messages(ctx, user("stranger"), g.ID, 0, 10)
	servicetest.WantCode(t, "a stranger", err, "not_member")
	_, err = b.Messages(ctx, user("member"), g.ID, -1, 10)
	servicetest.WantCode(t, "before -1", err, "validation_failed")
}
