package socket_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// reserve reserves the names of a module "team" on hub.
func reserve(t *testing.T, hub *adapter.Hub) *adapter.Owner {
	t.Helper()
	own, err := hub.Reserve(&adapter.Names{
		Owner: "the team module", Rooms: []string{"team:"}, Events: []string{"team:", "score:"}, Instead: "use team.Tell",
	})
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// startTeam runs a node with a module that has reserved names.
func startTeam(t *testing.T, mesh *adapter.Mesh, handlers func(own *adapter.Owner) []socket.Handler) (*node, *adapter.Owner) {
	t.Helper()
	hub := adapter.NewHub(mesh.Adapter())
	own := reserve(t, hub)
	return serve(t, socket.Deps{Hub: hub, Authenticate: socket.Tokens(verify)}, append(testHandlers(), handlers(own)...)...), own
}

func wantReserved(t *testing.T, what string, err error, text string) {
	t.Helper()
	if _, is := errors.AsType[*adapter.ReservedError](err); !is || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want an error that says %s", what, err, text)
	}
	if !errors.Is(err, fault.ErrForbidden) {
		t.Errorf("%s: clients would be answered %s", what, fault.From(err).Code)
	}
}

// TestReservedNamesAreRefusedAtTheCall makes all calls of a program with the names of modules.
func TestReservedNamesAreRefusedAtTheCall(t *testing.T) {
	t.Parallel()
	sockets := make(chan *socket.Socket, 1)
	n, _ := startTeam(t, adapter.NewMesh(), func(*adapter.Owner) []socket.Handler {
		return []socket.Handler{socket.OnConnect(func(_ context.Context, s *socket.Socket) error { sockets <- s; return nil })}
	})
	c := connectPlain(t, n, "alice")
	s, ctx := receive(t, sockets), t.Context()
	member := n.hub.Sockets("user:alice")[0]
	const team = `belongs to the team module: choose another name, or use team.Tell`
	const user = `belongs to the socket module: choose another name, or send to a user's sockets with Emitter.ToUser`
	for what, test := range map[string]struct {
		err  error
		text string
	}{
		"To a room":                     {n.out.To("team:1").Emit(ctx, "news", 1), `room "team:1" ` + team},
		"To with an event":              {n.out.To("lobby").Emit(ctx, "team:won", 1), `event "team:won" ` + team},
		"To with another event":         {n.out.To("lobby").Emit(ctx, "score:", 1), `event "score:" ` + team},
		"To a user's room":              {n.out.To("user:alice").Emit(ctx, "news", 1), `room "user:alice" ` + user},
		"To with the module's event":    {n.out.To("lobby").Emit(ctx, "socket:disconnect", 1), `event "socket:disconnect" ` + user},
		"ToUser":                        {n.out.ToUser("alice").Emit(ctx, "team:won", 1), `event "team:won" ` + team},
		"ToUser with the module's":      {n.out.ToUser("alice").Emit(ctx, "socket:disconnect", 1), `event "socket:disconnect" ` + user},
		"Join":                          {s.Join("team:1"), `room "team:1" ` + team},
		"Join of a user's room":         {s.Join("user:bob"), `room "user:bob" ` + user},
		"Join of their own user's room": {s.Join("user:alice"), `room "user:alice" ` + user},
		"Leave":                         {s.Leave("team:1"), `room "team:1" ` + team},
		"Leave of the user's room":      {s.Leave("user:alice"), `room "user:alice" ` + user},
		"Emit":                          {s.Emit("team:won", 1), `event "team:won" ` + team},
		"the hub's Join":                {n.hub.Join("team:1", member), `room "team:1" ` + team},
		"the hub's Watch":               {n.hub.Watch(ctx, "team:1"), `room "team:1" ` + team},
		"the hub's Emit":                {n.hub.Emit(ctx, adapter.Envelope{Room: "team:1", Event: "news"}), `room "team:1" ` + team},
		"the hub's Publish":             {n.hub.Publish(ctx, adapter.Envelope{Room: "lobby", Event: "team:won"}), `event "team:won" ` + team},
	} {
		wantReserved(t, what, test.err, test.text)
	}
	n.hub.Leave("user:alice", member)
	for _, env := range []adapter.Envelope{{Room: "user:alice", Event: "news"}, {Room: "lobby", Event: "team:won"}} {
		env.Data = []byte("1")
		n.hub.EmitLocal(env)
		n.hub.Cast(ctx, env)
	}
	for _, name := range []string{"connect", ""} {
		if s.Emit(name, 1) == nil {
			t.Errorf("an event called %q was sent", name)
		}
	}
	c.ask(`{"id":1,"event":"join","data":"team:1"}`, `{"id":1,"error":{"code":"forbidden","message":"you are not allowed to do this"}}`)
	for _, room := range []string{"team", "Team:1", "lobby"} { // names of the program
		c.ask(`{"id":2,"event":"join","data":"`+room+`"}`, `{"id":2,"data":{}}`)
	}
	if err := n.out.ToUser("alice").Emit(ctx, "news", "after all"); err != nil {
		t.Error(err)
	}
	c.want(`{"event":"news","data":"after all"}`)
}

func TestHandlersOfReservedEvents(t *testing.T) {
	t.Parallel()
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	own := reserve(t, hub)
	deps := socket.Deps{Hub: hub, Authenticate: socket.Anonymous}
	_, err := socket.New(socket.Config{}, deps, socket.On("team:join", echo), socket.On("socket:x", echo))
	wantReserved(t, "a program's handlers", err, `event "team:join" belongs to the team module`)
	wantReserved(t, "a program's handlers", err, `event "socket:x" belongs to the socket module`)
	_, err = socket.New(socket.Config{}, deps, socket.ModuleHandlers(own, socket.On("socket:x", echo))...)
	wantReserved(t, "another module's handler", err, `event "socket:x" belongs to the socket module`)
	if _, err := socket.New(socket.Config{}, deps, socket.ModuleHandlers(own, socket.On("team:join", echo), socket.On("chat", echo))...); err != nil {
		t.Errorf("the module's handlers: %v", err)
	}
}

// TestModuleUsesItsNames makes a module answer its events, put sockets into its rooms and send to
// them, on two nodes.
func TestModuleUsesItsNames(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	module := func(own *adapter.Owner) []socket.Handler {
		return socket.ModuleHandlers(own,
			socket.On("team:join", func(_ context.Context, s *socket.Socket, _ json.RawMessage) (struct{}, error) {
				mine := socket.ForModule(own, s)
				return struct{}{}, errors.Join(mine.Emit("team:welcome", []byte(`1`)), mine.Join("team:1"))
			}),
			socket.On("team:leave", func(_ context.Context, s *socket.Socket, _ json.RawMessage) (struct{}, error) {
				return struct{}{}, socket.ForModule(own, s).Leave("team:1")
			}))
	}
	a, own := startTeam(t, mesh, module)
	b, other := startTeam(t, mesh, module)
	other.Intercept("team:won", other.EmitLocal)
	alice, bob := connectPlain(t, a, "alice"), connectPlain(t, b, "bob")
	for _, c := range []*client{alice, bob} {
		c.write(`{"id":1,"event":"team:join"}`)
		c.want(`{"event":"team:welcome","data":1}`, `{"id":1,"data":{}}`)
	}
	send := func(event string) {
		t.Helper()
		if err := own.Emit(t.Context(), adapter.Envelope{Room: "team:1", Event: event, Data: []byte(`1`)}); err != nil {
			t.Error(err)
		}
	}
	send("team:won")
	send("news") // an event of the program in the module's room
	for _, c := range []*client{alice, bob} {
		c.want(`{"event":"team:won","data":1}`, `{"event":"news","data":1}`)
	}
	bob.ask(`{"id":2,"event":"team:leave"}`, `{"id":2,"data":{}}`)
	_ = alice.ws.Close()
	waittest.Until(t, "nobody is in the room", func() bool { return len(a.hub.Sockets("team:1"))+len(b.hub.Sockets("team:1")) == 0 })
}

// TestEmitterDisconnectsNoRoom checks that other nodes can disconnect only the sockets of a user,
// not those of a room.
func TestEmitterDisconnectsNoRoom(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	ended := make(chan engine.Reason, 1)
	n := start(t, mesh, append(testHandlers(), socket.OnDisconnect(func(_ *socket.Socket, reason engine.Reason) { ended <- reason }))...)
	c := connectPlain(t, n, "alice")
	c.ask(`{"id":1,"event":"join","data":"lobby"}`, `{"id":1,"data":{}}`)
	stranger := mesh.Adapter()
	if err := stranger.Start(t.Context(), func(adapter.Envelope) {}, func() {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Stop(context.Background()) })
	for _, env := range []adapter.Envelope{
		{Room: "lobby", Event: "socket:disconnect", Data: []byte(`{}`)},
		{Room: "user:alice", Event: "socket:else", Data: []byte(`{}`)},
		{Room: "lobby", Event: "news", Data: []byte(`1`)},
	} {
		if err := stranger.Publish(t.Context(), env); err != nil {
			t.Fatal(err)
		}
	}
	c.want(`{"event":"news","data":1}`)
	if n.logs.Count(`room=lobby event=socket:disconnect`) == 0 || n.logs.Count(`room=user:alice event=socket:else`) == 0 {
		t.Error("the dropped envelopes were not logged")
	}
	if err := n.out.DisconnectUser(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	if got := receive(t, ended); got != engine.Disconnected {
		t.Errorf("the reason is %v", got)
	}
}
