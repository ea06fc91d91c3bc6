package socket_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

func TestEmitterReachesBothEndpointsOnEveryNode(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	a, b := start(t, mesh, testHandlers()...), start(t, mesh, testHandlers()...)
	io, plain, other := connectIO(t, a, "alice"), connectPlain(t, b, "bob"), connectPlain(t, b, "carol")
	io.ask(`420["join","lobby"]`, `430[{"data":{}}]`)
	plain.ask(`{"id":0,"event":"join","data":"lobby"}`, `{"id":0,"data":{}}`)
	other.ask(`{"id":0,"event":"nothing"}`, `{"id":0,"data":{}}`) // wait until it is connected

	ctx := t.Context()
	send := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	send(a.out.To("lobby").Emit(ctx, "news", map[string]string{"text": "<모임>"}))
	io.want(`42["news",{"text":"<모임>"}]`)
	plain.want(`{"event":"news","data":{"text":"<모임>"}}`)
	send(a.out.ToUser("carol").Emit(ctx, "hello", nil))
	other.want(`{"event":"hello","data":null}`)

	io.ask(`421["leave","lobby"]`, `431[{"data":{}}]`)
	send(b.out.To("lobby").Emit(ctx, "more", 1))
	send(b.out.ToUser("alice").Emit(ctx, "last", 2))
	plain.want(`{"event":"more","data":1}`)
	io.want(`42["last",2]`)

	if a.out.To("lobby").Emit(ctx, "connect", 1) == nil || a.out.To("lobby").Emit(ctx, "", 1) == nil {
		t.Error("a name was accepted that clients do not understand")
	}
	if a.out.To("lobby").Emit(ctx, "x", make(chan int)) == nil {
		t.Error("a value was accepted that is no JSON")
	}
}

func TestRoomsAreLeftOnClose(t *testing.T) {
	t.Parallel()
	sockets := make(chan *socket.Socket, 1)
	ended := make(chan engine.Reason, 1)
	n := start(t, adapter.NewMesh(), append(testHandlers(),
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error { sockets <- s; return nil }),
		socket.OnDisconnect(func(s *socket.Socket, reason engine.Reason) {
			if err := errors.Join(s.Join("too-late"), s.Emit("too-late", 1)); err != nil {
				t.Error(err)
			}
			ended <- reason
		}))...)
	c := connectIO(t, n, "alice")
	s := receive(t, sockets)
	c.ask(`420["join","lobby"]`, `430[{"data":{}}]`)
	if err := s.Leave("elsewhere"); err != nil {
		t.Error(err)
	}
	for _, room := range []string{"lobby", "user:alice"} {
		if len(n.hub.Sockets(room)) != 1 {
			t.Errorf("it is not in %s", room)
		}
	}
	c.write(`41`)
	if got := receive(t, ended); got != engine.ClientDisconnect {
		t.Errorf("the reason is %v", got)
	}
	if err := s.Join("lobby"); err != nil {
		t.Error(err)
	}
	for _, room := range []string{"lobby", "user:alice", "too-late"} {
		if len(n.hub.Sockets(room)) != 0 {
			t.Errorf("it is still in %s", room)
		}
	}
	// The connection stays open, and connecting again creates a new socket.
	c.write(`40{"token":"alice"}`)
	c.read()
	if again := receive(t, sockets); again == s || again.ID() == s.ID() {
		t.Error("the socket came back")
	}
	_ = c.ws.Close()
	receive(t, ended)
	if got := n.hub.Sockets("user:alice"); len(got) > 0 {
		t.Errorf("still there: %v", got)
	}
}

// TestMessagesBeforeTheEndAreHandled closes the connection right after it wrote messages. They
// must be handled.
func TestMessagesBeforeTheEndAreHandled(t *testing.T) {
	t.Parallel()
	const messages = 50
	type step struct {
		n     int
		ended bool
	}
	steps := make(chan step, messages+1)
	n := start(t, adapter.NewMesh(),
		socket.On("count", func(_ context.Context, _ *socket.Socket, n int) (struct{}, error) {
			steps <- step{n: n}
			return struct{}{}, nil
		}),
		socket.OnDisconnect(func(*socket.Socket, engine.Reason) { steps <- step{ended: true} }))
	c := connectPlain(t, n, "alice")
	for range messages {
		c.write(`{"event":"count","data":1}`)
	}
	if err := c.ws.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for range messages {
		if receive(t, steps).ended {
			t.Fatal("the socket ended before its messages were handled")
		}
	}
	if !receive(t, steps).ended {
		t.Error("the socket did not end")
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	ended := make(chan engine.Reason, 2)
	n := start(t, adapter.NewMesh(), socket.OnDisconnect(func(_ *socket.Socket, reason engine.Reason) { ended <- reason }))
	io, plain := connectIO(t, n, "alice 5s"), connectPlain(t, n, "alice 5s") // enough time to connect on a busy machine
	io.want(`41`)
	io.wantClosed(websocket.CloseNoStatusReceived)
	plain.wantClosed(4003)
	for range 2 {
		if got := receive(t, ended); got != engine.Expired {
			t.Errorf("the reason is %v", got)
		}
	}
}

func TestDisconnectOnEveryNode(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	a, b := start(t, mesh, testHandlers()...), start(t, mesh, testHandlers()...)
	ioA, ioB, plainB, other := connectIO(t, a, "alice"), connectIO(t, b, "alice"), connectPlain(t, b, "alice"), connectIO(t, b, "bob")
	waittest.Until(t, "alice has two sockets on the other node", func() bool { return len(b.hub.Sockets("user:alice")) == 2 })
	if err := a.out.DisconnectUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	for _, io := range []*client{ioA, ioB} {
		io.want(`41`)
		io.wantClosed(websocket.CloseNoStatusReceived)
	}
	plainB.wantClosed(4004)
	other.ask(`420["nothing"]`, `430[{"data":{}}]`)
}

func TestDrainClosesTheTransportOnly(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	io, plain := connectIO(t, n, "alice"), connectPlain(t, n, "alice")
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- n.Drain(ctx)
	}()
	io.wantClosed(websocket.CloseNoStatusReceived) // without an event, because the program does not know this socket
	var hint struct {
		Event string
		Data  struct{ After *int }
	}
	if err := json.Unmarshal([]byte(plain.read()), &hint); err != nil {
		t.Fatal(err)
	}
	if after := hint.Data.After; hint.Event != "socket:reconnect" || after == nil || *after < 0 || *after >= 1000 {
		t.Errorf("the message about reconnecting is %+v", hint)
	}
	plain.wantClosed(4001)
	if err := receive(t, drained); err != nil {
		t.Error(err)
	}
	_, response, err := websocket.DefaultDialer.DialContext(t.Context(), n.url+"/ws", http.Header{"Authorization": {"Bearer alice"}})
	if err == nil {
		t.Fatal("a new connection was accepted")
	}
	_ = response.Body.Close()
}

// TestDisconnectedSocketsMessagesAreDropped disconnects a socket that has queued messages. No
// handler may run for them.
func TestDisconnectedSocketsMessagesAreDropped(t *testing.T) {
	t.Parallel()
	var out *socket.Emitter
	handled := make(chan int, 10)
	ended := make(chan struct{})
	n := start(t, adapter.NewMesh(),
		socket.On("x", func(ctx context.Context, s *socket.Socket, n int) (struct{}, error) {
			handled <- n
			return struct{}{}, out.DisconnectUser(ctx, s.UserID())
		}),
		socket.OnDisconnect(func(*socket.Socket, engine.Reason) { close(ended) }))
	out = n.out
	c := connectIO(t, n, "alice")
	if err := errors.Join(
		c.ws.WriteMessage(websocket.TextMessage, []byte(`42["x",1]`)),
		c.ws.WriteMessage(websocket.TextMessage, []byte(`42["x",2]`)),
	); err != nil {
		t.Fatal(err)
	}
	c.want(`41`)
	receive(t, ended)
	if len(handled) != 1 {
		t.Errorf("%d messages were handled", len(handled))
	}
}

// TestHandlersEndSoonAfterTheirConnection closes the connection of a handler that waits for its
// context.
func TestHandlersEndSoonAfterTheirConnection(t *testing.T) {
	t.Parallel()
	waiting, ended := make(chan struct{}), make(chan engine.Reason, 1)
	n := start(t, adapter.NewMesh(),
		socket.On("wait", func(ctx context.Context, _ *socket.Socket, _ struct{}) (any, error) {
			close(waiting)
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		socket.OnDisconnect(func(_ *socket.Socket, reason engine.Reason) { ended <- reason }))
	n.SetTimeouts(time.Minute, time.Minute, 50*time.Millisecond)
	c := connectIO(t, n, "alice")
	c.write(`420["wait"]`)
	receive(t, waiting)
	_ = c.ws.Close()
	waittest.Until(t, "the rooms are left at once", func() bool { return len(n.hub.Sockets("user:alice")) == 0 })
	receive(t, ended)
}

// TestEverySocketThatBeganEnds stops a gateway while clients connect and disconnect. OnDisconnect
// must run for every socket for which OnConnect ran.
func TestEverySocketThatBeganEnds(t *testing.T) {
	t.Parallel()
	var began, over atomic.Int64
	n := start(t, adapter.NewMesh(),
		socket.OnConnect(func(context.Context, *socket.Socket) error { began.Add(1); return nil }),
		socket.OnDisconnect(func(*socket.Socket, engine.Reason) { over.Add(1) }))
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			for {
				url, header := n.url+"/ws", http.Header{"Authorization": {"Bearer alice"}}
				if i%2 == 0 {
					url = n.url + "/socket.io/?EIO=4&transport=websocket"
				}
				ws, response, err := websocket.DefaultDialer.Dial(url, header)
				if err != nil {
					return // the gateway has stopped
				}
				_ = response.Body.Close()
				_ = ws.WriteMessage(websocket.TextMessage, []byte(`40`))
				_, _, _ = ws.ReadMessage()
				_ = ws.Close()
			}
		})
	}
	waittest.Until(t, "clients come", func() bool { return began.Load() > 50 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error(err)
	}
	clients.Wait()
	if began.Load() != over.Load() || n.Len() > 0 || len(n.hub.Sockets("user:alice")) > 0 {
		t.Errorf("%d began, %d ended, %d connections are left", began.Load(), over.Load(), n.Len())
	}
}

func TestAnonymousSocketsAreUsersOfTheirOwn(t *testing.T) {
	t.Parallel()
	users := make(chan auth.Identity, 2)
	n := serve(t, socket.Deps{Hub: adapter.NewHub(adapter.NewMesh().Adapter()), Authenticate: socket.Anonymous},
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error { users <- s.Identity(); return nil }))
	dial(t, n, "/ws", nil)
	c := openIO(t, n, nil)
	c.write("40")
	if got := c.read(); !strings.HasPrefix(got, `40{`) {
		t.Fatal(got)
	}
	if a, b := receive(t, users), receive(t, users); a.UserID == "" || a.UserID == b.UserID || a.Admin {
		t.Errorf("they are %v and %v", a, b)
	}
}

func TestStopTwiceAndBeforeStart(t *testing.T) {
	t.Parallel()
	g, err := socket.New(socket.Config{}, socket.Deps{Hub: adapter.NewHub(adapter.NewMesh().Adapter()), Authenticate: socket.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestToSkipsTheSender sends from a socket to a room of two sockets on two nodes. The sender must
// not get the event.
func TestToSkipsTheSender(t *testing.T) {
	t.Parallel()
	mesh := adapter.NewMesh()
	a := start(t, mesh, append(testHandlers(), socket.On("say", func(ctx context.Context, s *socket.Socket, text string) (string, error) {
		return "said", s.To("lobby").Emit(ctx, "said", text)
	}))...)
	b := start(t, mesh, testHandlers()...)
	alice, bob := connectPlain(t, a, "alice"), connectPlain(t, b, "bob")
	for _, c := range []*client{alice, bob} {
		c.ask(`{"id":1,"event":"join","data":"lobby"}`, `{"id":1,"data":{}}`)
	}
	alice.ask(`{"id":2,"event":"say","data":"hi"}`, `{"id":2,"data":"said"}`)
	bob.want(`{"event":"said","data":"hi"}`)
	alice.ask(`{"id":3,"event":"join","data":"lobby"}`, `{"id":3,"data":{}}`)
}
