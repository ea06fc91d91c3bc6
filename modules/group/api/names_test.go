package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// onBothAdapters runs a test on two kinds of adapters: in one process, and over Redis. Each
// call of open adds a node to the cluster.
func onBothAdapters(t *testing.T, test func(t *testing.T, open func() adapter.Adapter)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		mesh := adapter.NewMesh()
		test(t, func() adapter.Adapter { return mesh.Adapter() })
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		test(t, func() adapter.Adapter {
			clients, err := redisrole.New(redisrole.Config{URL: server.URL()}, redisrole.NodeID(t.Name()), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = clients.Close() })
			a, err := redisadapter.New(clients, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return a
		})
	})
}

// joinAny is a handler of an unsafe program. It lets clients join any room that they name.
func joinAny() socket.Handler {
	return socket.On("program:join", func(_ context.Context, s *socket.Socket, room string) (struct{}, error) {
		return struct{}{}, s.Join(room)
	})
}

// TestNamesOfTheGroupModule checks that a program cannot use the module's rooms and events,
// and that forged envelopes of another node are ignored. The module's own events must still
// arrive.
func TestNamesOfTheGroupModule(t *testing.T) {
	t.Parallel()
	onBothAdapters(t, func(t *testing.T, open func() adapter.Adapter) {
		st := servicetest.OpenStore(t)
		one := newNodeOn(t, st, open(), []socket.Handler{joinAny()})
		two := newNodeOn(t, st, open(), []socket.Handler{joinAny()})
		alice, bob, mallory := one.dial(t, "alice"), two.dial(t, "bob"), two.dial(t, "mallory")
		g := servicetest.Decode[group.Group](t, alice.call("group:create", `{"name":"g","joinPolicy":"open","visibility":"public"}`))
		here, room := `{"groupId":"`+g.ID+`"`, "group:"+g.ID
		bob.call("group:join", here+`}`)
		for _, c := range []*client{alice, bob} {
			c.call("group:subscribe", here+`}`)
		}
		for _, c := range []*client{alice, bob, mallory} {
			for _, name := range []string{room, "user:alice", "user:mallory"} {
				if got := c.call("program:join", `"`+name+`"`); got != "error: forbidden" {
					t.Errorf("joining %s: %s", name, got)
				}
			}
			if got := c.call("program:join", `"lobby"`); got != "{}" {
				t.Errorf("joining the program's room: %s", got)
			}
		}

		forged := group.Event{GroupID: g.ID, Version: 3, Type: group.MessagePosted, Data: json.RawMessage(`{"data":"forged"}`)}
		for _, n := range []*node{one, two} {
			for _, to := range []struct{ room, event string }{
				{room, "group:event"},
				{room, "news"},
				{"lobby", "group:event"},
				{"lobby", "group:closed"},
				{"lobby", "presence:set"},
				{"lobby", "token:expiring"},
				{"lobby", "socket:disconnect"},
				{"user:bob", "news"},
			} {
				if err := n.out.To(to.room).Emit(t.Context(), to.event, forged); err == nil {
					t.Errorf("sending %s to %s was not refused", to.event, to.room)
				}
			}
			for _, event := range []string{"group:closed", "socket:disconnect"} {
				if err := n.out.ToUser("bob").Emit(t.Context(), event, forged); err == nil {
					t.Errorf("sending %s to a user was not refused", event)
				}
			}
		}

		stranger := open()
		if err := stranger.Start(t.Context(), func(adapter.Envelope) {}, func() {}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := stranger.Stop(ctx); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
		data, err := json.Marshal(forged)
		if err != nil {
			t.Fatal(err)
		}
		for _, env := range []adapter.Envelope{
			{Room: "lobby", Event: "group:event", Meta: "3 message.posted"},
			{Room: "user:bob", Event: "group:event", Meta: "3 message.posted"},
			{Room: "lobby", Event: "group:closed"},
			{Room: "lobby", Event: "socket:disconnect"},
			{Room: room, Event: "socket:disconnect"},
			{Room: room, Event: "group:closed"}, // the module never publishes this to other nodes
			{Room: room, Event: "token:expiring"},
		} {
			env.Data = data
			if err := stranger.Publish(t.Context(), env); err != nil {
				t.Fatal(err)
			}
		}
		// Envelopes of one sender stay in order in each room. Once these arrive, no forged
		// envelope can follow.
		for _, env := range []adapter.Envelope{
			{Room: room, Event: "group:signal", Data: []byte(`"last"`)},
			{Room: "lobby", Event: "program:news", Data: []byte(`"last"`)},
			{Room: "user:bob", Event: "program:mail", Data: []byte(`"last"`)},
		} {
			if err := stranger.Publish(t.Context(), env); err != nil {
				t.Fatal(err)
			}
		}
		alice.wantInAnyOrder(`group:signal "last"`, `program:news "last"`)
		bob.wantInAnyOrder(`group:signal "last"`, `program:news "last"`, `program:mail "last"`)
		mallory.wantInAnyOrder(`program:news "last"`)

		if got := bob.call("group:message", here+`,"data":"real"}`); got == "" || got[0] != '{' {
			t.Errorf("posting: %s", got)
		}
		for _, c := range []*client{alice, bob} {
			c.wantNext("group:event 3 message.posted")
		}
		for _, err := range []error{
			one.out.To("lobby").Emit(t.Context(), "program:news", "real"),
			one.out.ToUser("bob").Emit(t.Context(), "program:mail", "real"),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		alice.wantInAnyOrder(`program:news "real"`)
		bob.wantInAnyOrder(`program:news "real"`, `program:mail "real"`)
		mallory.wantInAnyOrder(`program:news "real"`)
	})
}
