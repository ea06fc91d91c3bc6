package socket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

func TestSocketKnowsItsHandshakeDataAndRooms(t *testing.T) {
	t.Parallel()
	type visits struct{ n int }
	rooms := make(chan []string, 1)
	n := start(t, adapter.NewMesh(),
		socket.OnRaw("count", func(_ context.Context, s *socket.Socket, _ socket.Args) (socket.Args, error) {
			socket.Data[visits](s).n++
			return socket.Args{socket.Data[visits](s).n, s.Handshake().Header.Get("X-Color"), s.Handshake().Auth}, s.Join("lobby")
		}),
		socket.OnDisconnecting(func(s *socket.Socket, _ engine.Reason) { rooms <- s.Rooms() }))
	c := openIO(t, n, http.Header{"X-Color": {"red"}})
	c.write(`40{"token":"alice","a":1}`)
	id := strings.TrimSuffix(strings.TrimPrefix(c.read(), `40{"sid":"`), `"}`)
	c.ask(`421["count"]`, `431[1,"red",{"token":"alice","a":1}]`)
	c.ask(`422["count"]`, `432[2,"red",{"token":"alice","a":1}]`)
	_ = c.ws.Close()
	got := receive(t, rooms)
	slices.Sort(got)
	want := []string{id, "lobby"}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rooms (-want +got):\n%s", diff)
	}
}

func TestTheServerDisconnects(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 10)
	leave := func(all bool) func(context.Context, *socket.Socket, socket.Args) (socket.Args, error) {
		return func(_ context.Context, s *socket.Socket, _ socket.Args) (socket.Args, error) {
			s.Disconnect(all)
			return nil, nil
		}
	}
	handlers := append(socket.In("/a", socket.OnRaw("leave", leave(false)), socket.OnRaw("end", leave(true)),
		socket.OnDisconnect(func(_ *socket.Socket, reason engine.Reason) { ended <- "a " + reason.String() })),
		socket.On("nothing", func(context.Context, *socket.Socket, struct{}) (struct{}, error) { return struct{}{}, nil }),
		socket.OnDisconnect(func(_ *socket.Socket, reason engine.Reason) { ended <- "main " + reason.String() }))
	n := start(t, adapter.NewMesh(), handlers...)
	c := connectIO(t, n, "alice")
	c.join("/a", "alice")
	c.ask(`42/a,["leave"]`, `41/a,`)
	if got := receive(t, ended); got != "a server namespace disconnect" {
		t.Errorf("ended: %s", got)
	}
	c.write(`42/a,["leave"]`) // sent before the client knew that it was disconnected
	c.ask(`421["nothing",{}]`, `431[{"data":{}}]`)
	c.join("/a", "alice")
	c.write(`42/a,["end"]`)
	got := []string{c.read(), c.read()}
	slices.Sort(got)
	if diff := cmp.Diff([]string{`41`, `41/a,`}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.wantClosed(websocket.CloseNoStatusReceived)
	ends := []string{receive(t, ended), receive(t, ended)}
	slices.Sort(ends)
	if diff := cmp.Diff([]string{"a disconnected by the server", "main disconnected by the server"}, ends); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTargets sends to the sockets of two nodes.
func TestTargets(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	handlers := func() []socket.Handler {
		rooms := func(_ context.Context, s *socket.Socket, args socket.Args) (socket.Args, error) {
			for i := range args {
				var room string
				if err := errors.Join(args.Decode(i, &room), s.Join(room)); err != nil {
					return nil, err
				}
			}
			return socket.Args{s.ID()}, nil
		}
		return append(socket.In("/a", socket.OnRaw("join", rooms)), socket.OnRaw("join", rooms),
			socket.OnRaw("others", func(ctx context.Context, s *socket.Socket, _ socket.Args) (socket.Args, error) {
				return nil, s.To("x").Emit(ctx, "from another")
			}),
			socket.OnRaw("sync", echoArgs))
	}
	one, two := start(t, mesh, handlers()...), start(t, mesh, handlers()...)
	type member struct {
		*client
		id string
	}
	connect := func(n *node, user string, rooms ...string) member {
		c := connectIO(t, n, user)
		asked, err := json.Marshal(append([]string{"join"}, rooms...))
		if err != nil {
			t.Fatal(err)
		}
		c.write(`421` + string(asked))
		return member{c, strings.TrimSuffix(strings.TrimPrefix(c.read(), `431["`), `"]`)}
	}
	a, b, c := connect(one, "a", "x", "y"), connect(two, "b", "x"), connect(two, "c", "y", "z")
	everyone := map[string]member{"a": a, "b": b, "c": c}
	other := connectIO(t, two, "d")
	other.join("/a", "d")
	other.write(`42/a,1["join","x"]`)
	other.read()
	count := 0
	// emit sends an event and returns how often each user received it.
	emit := func(what string, target socket.Target, event string) map[string]int {
		t.Helper()
		count++
		name := fmt.Sprint(event, count)
		if err := target.Emit(t.Context(), name, 1, "two"); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := one.out.All().Emit(t.Context(), "end", count); err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int)
		for user, m := range everyone {
			for {
				message := m.read()
				if message == fmt.Sprintf(`42["end",%d]`, count) {
					break
				}
				if message == fmt.Sprintf(`42[%q,1,"two"]`, name) {
					got[user]++
				}
			}
		}
		return got
	}
	check := func(what string, target socket.Target, event string, reached ...string) {
		t.Helper()
		want := make(map[string]int)
		for _, user := range reached {
			want[user] = 1
		}
		if got := emit(what, target, event); !maps.Equal(got, want) {
			t.Errorf("%s: received by %v, want %v", what, got, want)
		}
	}
	check("all", one.out.All(), "e", "a", "b", "c")
	check("two rooms, each once", one.out.To("x", "y"), "e", "a", "b", "c")
	check("one but another", one.out.To("y").Except("z"), "e", "a")
	check("all but a socket", one.out.All().Except(a.id), "e", "b", "c")
	check("a socket of another node", one.out.To(c.id), "e", "c")
	check("this node", one.out.All().Local(), "e", "a")
	reached := make(map[string]int)
	waittest.Until(t, "volatile events reach everyone who is not busy", func() bool {
		maps.Copy(reached, emit("volatile", one.out.All().Volatile(), "e"))
		return len(reached) == len(everyone)
	})
	if err := one.out.To("z").Join(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	check("a socket that was made to join", one.out.To("new", "nobody"), "e", "c")
	if err := one.out.All().Leave(t.Context(), "y"); err != nil {
		t.Fatal(err)
	}
	check("sockets that were made to leave", one.out.To("y", "nobody"), "e")
	if err := one.out.Of("/a").To("x", "nobody").Emit(t.Context(), "inside", socket.Binary{1}); err != nil {
		t.Fatal(err)
	}
	for message := other.read(); message != `451-/a,["inside",{"_placeholder":true,"num":0}]`; message = other.read() {
		if strings.Contains(message, "/a") {
			t.Errorf("another namespace's socket got %s", message)
		}
	}
	other.want("\x01")
	a.write(`42["others"]`)
	b.want(`42["from another"]`)
	if err := two.out.To("x").Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.want(`41`)
	b.want(`41`)
	for what, err := range map[string]error{
		"a module's room":          one.out.To("user:a", "x").Emit(t.Context(), "e"),
		"a module's room excepted": one.out.All().Except("user:a").Emit(t.Context(), "e"),
		"a module's room to join":  one.out.All().Join(t.Context(), "user:a"),
		"a module's event":         one.out.All().Emit(t.Context(), "socket:emit"),
	} {
		if _, reserved := errors.AsType[*adapter.ReservedError](err); !reserved {
			t.Errorf("%s: %v", what, err)
		}
	}
}
