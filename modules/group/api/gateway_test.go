package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestSocketsAcrossNodes(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	one, two := newNode(t, st, mesh), newNode(t, st, mesh)
	alice, bob := one.dial(t, "alice"), two.dial(t, "bob")

	g := servicetest.Decode[group.Group](t, alice.call("group:create", `{"name":"g","visibility":"public","joinPolicy":"open"}`))
	here := `{"groupId":"` + g.ID + `"`
	read, err := one.Get(t.Context(), auth.Identity{UserID: "alice"}, g.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read, g); diff != "" {
		t.Errorf("created: %s", diff)
	}

	if got := bob.call("group:subscribe", here+`}`); got != "error: not_member" {
		t.Errorf("subscribing as an outsider: %s", got)
	}
	if got := bob.call("group:join", here+`}`); !strings.Contains(got, `"role":"member"`) {
		t.Errorf("joining: %s", got)
	}
	type answer struct {
		Group    group.Group
		Version  int64
		Presence json.RawMessage
		Snapshot *bool
	}
	got := alice.call("group:subscribe", here+`,"since":1,"presence":true}`)
	a := servicetest.Decode[answer](t, got)
	if a.Version != 1 || a.Group.MemberCount != 2 || a.Snapshot != nil || !strings.Contains(got, `"presence":null`) || strings.Contains(got, "events") {
		t.Errorf("subscribed: %s", got)
	}
	alice.wantNext("group:event 2 member.joined")
	got = bob.call("group:subscribe", here+`,"since":7}`)
	if b := servicetest.Decode[answer](t, got); b.Version != 2 || b.Snapshot == nil || !*b.Snapshot {
		t.Errorf("subscribed from a version above the group's: %s", got)
	}

	posted := servicetest.Decode[group.Event](t, bob.call("group:message", here+`,"data":{"text":"hi"}}`))
	if posted.Version != 3 || string(posted.Data) != `{"type":"message","data":{"text":"hi"}}` {
		t.Errorf("posted %+v", posted)
	}
	alice.wantNext("group:event 3 message.posted")
	bob.wantNext("group:event 3 message.posted")

	if got := alice.call("group:signal", here+`,"type":"typing","data":{"on":true}}`); got != "{}" {
		t.Errorf("signalled: %s", got)
	}
	bob.wantNext(`group:signal {"groupId":"` + g.ID + `","from":"alice","type":"typing","data":{"on":true}}`)

	updated := servicetest.Decode[group.Group](t, alice.call("group:update", here+`,"name":"h","capacity":2}`))
	if updated.Name != "h" || updated.Version != 4 {
		t.Errorf("updated %+v", updated)
	}
	if got := bob.call("group:leave", here+`}`); got != "{}" {
		t.Errorf("left: %s", got)
	}
	alice.wantNext("group:event 4 group.updated", "group:event 5 member.left") // a sender does not receive their own signal
	bob.wantNext("group:event 4 group.updated", "group:event 5 member.left", `group:closed {"groupId":"`+g.ID+`","reason":"left"}`)

	once := alice.call("group:message", here+`,"data":"once","key":"k"}`)
	if got := alice.call("group:message", here+`,"data":"once","key":"k"}`); got != once {
		t.Errorf("posted again under the key: %s, want %s", got, once)
	}
	if got := alice.call("group:message", here+`,"data":"twice","key":"k"}`); got != "error: idempotency_mismatch" {
		t.Errorf("posted something else under the key: %s", got)
	}
	alice.wantNext("group:event 6 message.posted")
	for version, want := range map[int]string{5: "{}", 99: "error: validation_failed"} {
		if got := alice.call("group:read", here+fmt.Sprintf(`,"version":%d}`, version)); got != want {
			t.Errorf("read up to %d: %s, want %s", version, got, want)
		}
	}

	if got := alice.call("group:unsubscribe", here+`}`); got != "{}" {
		t.Errorf("unsubscribed: %s", got)
	}
	if got := alice.call("group:delete", here+`}`); got != "{}" {
		t.Errorf("deleted: %s", got)
	}
	for _, event := range []string{"group:subscribe", "group:join", "group:leave", "group:delete"} {
		if got := alice.call(event, here+`}`); got != "error: not_found" {
			t.Errorf("%s of a deleted group: %s", event, got)
		}
	}
	if len(alice.pushed) > 0 {
		t.Errorf("received after unsubscribing: %v", alice.pushed)
	}
}

// TestSubscribeAnswersFirst checks that the answer to a subscription is sent before the
// events that follow it, even while many events are appended.
func TestSubscribeAnswersFirst(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	n := newNode(t, st, mesh)
	who := auth.Identity{UserID: "alice"}
	g, err := n.Create(t.Context(), who, dto.CreateRequest{Name: "g"})
	if err != nil {
		t.Fatal(err)
	}
	writing, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(writing)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := n.Post(t.Context(), who, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)}); err != nil {
				t.Errorf("post: %v", err)
				return
			}
		}
	}()
	defer func() { // also if the test fails
		close(stop)
		<-writing
	}()
	c := n.dial(t, "alice")
	for range 20 {
		a := servicetest.Decode[group.Group](t, c.call("group:subscribe", `{"groupId":"`+g.ID+`"}`))
		c.pushed = nil
		for i := range int64(5) {
			c.wantNext(fmt.Sprint("group:event ", a.Version+1+i, " message.posted"))
		}
		c.call("group:unsubscribe", `{"groupId":"`+g.ID+`"}`)
		c.pushed = nil
	}
}

// hurried is a presence that changes between two reads.
type hurried struct {
	servicetest.Crowd
	reads atomic.Int64
}

func (h *hurried) List(context.Context, string) ([]group.Present, error) {
	if h.reads.Add(1) == 1 {
		return []group.Present{{UserID: "bob", Status: "online"}}, nil
	}
	return []group.Present{{UserID: "bob", Status: "reconnecting", AsOf: time.UnixMilli(1).UTC()}}, nil
}

// TestSubscribeMissesNoPresence checks that a new subscriber receives presence changes
// between the snapshot and the moment when they join the room.
func TestSubscribeMissesNoPresence(t *testing.T) {
	t.Parallel()
	n := newNode(t, servicetest.OpenStore(t), adapter.NewMesh(), &hurried{})
	g, err := n.Create(t.Context(), auth.Identity{UserID: "alice"}, dto.CreateRequest{Name: "g"})
	if err != nil {
		t.Fatal(err)
	}
	c := n.dial(t, "alice")
	answer := servicetest.Decode[struct{ Presence group.PresenceSummary }](t, c.call("group:subscribe", `{"groupId":"`+g.ID+`","presence":true}`))
	if p := answer.Presence; p.Online != 1 || len(p.Items) != 1 || p.Items[0].Status != "online" {
		t.Errorf("answered %+v", p)
	}
	c.wantNext(`group:presence {"groupId":"` + g.ID + `","items":[{"userId":"bob","status":"reconnecting","at":"1970-01-01T00:00:00.001Z"}]}`)
}

func TestSocketProblems(t *testing.T) {
	t.Parallel()
	st, mesh := servicetest.OpenStore(t), adapter.NewMesh()
	n := newNode(t, st, mesh)
	c := n.dial(t, "alice")
	g := servicetest.Decode[group.Group](t, c.call("group:create", `{"name":"g"}`))
	here := `{"groupId":"` + g.ID + `"`
	for _, p := range []struct{ event, data, want string }{
		{"group:create", `{"name":7,"extra":1}`, "validation_failed"},
		{"group:create", `{"name":"x","key":""}`, "validation_failed"},
		{"group:create", `"x"`, "validation_failed"},
		{"group:update", here + `,"name":null}`, "validation_failed"},
		{"group:update", here + `,"endsAt":"2020-01-01T00:00:00Z"}`, "validation_failed"},
		{"group:update", `{"name":"x"}`, "validation_failed"},
		{"group:message", here + `}`, "validation_failed"},
		{"group:message", here + `,"data":1,"key":7}`, "validation_failed"},
		{"group:subscribe", here + `,"key":"k"}`, "validation_failed"},
		{"group:signal", here + `}`, "validation_failed"},
		{"group:subscribe", here + `,"since":-1}`, "validation_failed"},
		{"group:subscribe", here + `,"since":"x"}`, "validation_failed"},
		{"group:subscribe", here + `,"extra":1}`, "validation_failed"},
		{"group:subscribe", `{}`, "validation_failed"},
		{"group:join", `{}`, "validation_failed"},
		{"group:join", `7`, "validation_failed"},
		{"group:leave", here + `}`, "owner_must_transfer"},
		{"group:subscribe", `{"groupId":"x"}`, "not_found"},
		{"group:unsubscribe", `{"groupId":"x"}`, ""},
		{"group:signal", `{"groupId":"0190f5fe-7c00-7a00-8abc-012345678901","type":"x"}`, "not_found"},
		{"group:nonsense", `{}`, "unknown_event"},
	} {
		want := "error: " + p.want
		if p.want == "" {
			want = "{}"
		}
		if got := c.call(p.event, p.data); got != want {
			t.Errorf("%s %s: %s, want %s", p.event, p.data, got, want)
		}
	}
	stranger := n.dial(t, "stranger")
	for _, event := range []string{"group:subscribe", "group:join", "group:leave", "group:delete", "group:update"} {
		if got := stranger.call(event, here+`}`); got != "error: not_found" {
			t.Errorf("%s of a private group by an outsider: %s", event, got)
		}
	}
	if got := n.dial(t, "backend").call("group:subscribe", here+`}`); !strings.Contains(got, `"group":{`) {
		t.Errorf("a back end subscribing: %s", got)
	}
}

// TestSubscriptionsEnd checks that the watcher is told when subscriptions of members begin
// and end. It is never told of those of back ends.
func TestSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	n := newNode(t, servicetest.OpenStore(t), adapter.NewMesh())
	c := n.dial(t, "alice")
	g := servicetest.Decode[group.Group](t, c.call("group:create", `{"name":"g"}`))
	here := `{"groupId":"` + g.ID + `"}`
	n.dial(t, "backend").call("group:subscribe", here)
	c.call("group:subscribe", here)
	c.call("group:unsubscribe", here)
	c.call("group:subscribe", here)
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"+alice", "-alice unsubscribed", "+alice", "-alice dropped"} {
		select {
		case got := <-n.watcher:
			if got != want {
				t.Errorf("the watcher received %s, want %s", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the watcher received nothing, want %s", want)
		}
	}
}
