package socket_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestMain(m *testing.M) { childtest.VerifyMain(childtest.Main(m)) }

// patience is how long a test waits for an expected event.
const patience = 30 * time.Second

// node is one gateway behind an HTTP server.
type node struct {
	*socket.Gateway
	hub  *adapter.Hub
	out  *socket.Emitter
	url  string
	logs *childtest.Log
}

// start runs a node on mesh until the test ends. It accepts the tokens of verify.
func start(t *testing.T, mesh *adapter.Mesh, handlers ...socket.Handler) *node {
	t.Helper()
	return serve(t, socket.Deps{Hub: adapter.NewHub(mesh.Adapter()), Authenticate: socket.Tokens(verify)}, handlers...)
}

// serve runs a node until the test ends.
func serve(t *testing.T, deps socket.Deps, handlers ...socket.Handler) *node {
	t.Helper()
	return serveWith(t, socket.Config{}, deps, handlers...)
}

func serveWith(t *testing.T, cfg socket.Config, deps socket.Deps, handlers ...socket.Handler) *node {
	t.Helper()
	n := &node{hub: deps.Hub, out: socket.NewEmitter(deps.Hub), logs: &childtest.Log{}}
	deps.Log, deps.Emitter = slog.New(slog.NewTextHandler(n.logs, nil)), n.out
	g, err := socket.New(cfg, deps, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	n.Gateway = g
	for _, start := range []func(context.Context) error{n.hub.Start, g.Start} {
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(g)
	n.url = "ws" + strings.TrimPrefix(server.URL, "http")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(g.Stop(ctx), n.hub.Stop(ctx)); err != nil {
			t.Errorf("stop: %v", err)
		}
		server.Close()
	})
	return n
}

// emit sends an event to one socket.
func emit(t *testing.T, s *socket.Socket, event, data string) {
	t.Helper()
	if err := s.Emit(event, json.RawMessage(data)); err != nil {
		t.Error(err)
	}
}

// verify accepts tokens like "alice", and "alice 300ms" for a token that expires.
func verify(_ context.Context, token string) (auth.Identity, error) {
	user, lifetime, limited := strings.Cut(token, " ")
	identity := auth.Identity{UserID: user, Name: strings.ToUpper(user)}
	if limited {
		d, err := time.ParseDuration(lifetime)
		if err != nil {
			return auth.Identity{}, err
		}
		identity.Expires = time.Now().Add(d)
	}
	switch user {
	case "bad":
		return auth.Identity{}, fault.ErrUnauthorized
	case "broken":
		return auth.Identity{}, errors.New("a key file is missing")
	}
	return identity, nil
}

// client is a WebSocket client that writes exactly what a test passes.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

// dial connects to one of n's endpoints.
func dial(t *testing.T, n *node, path string, header http.Header) *client {
	t.Helper()
	ws, response, err := websocket.DefaultDialer.DialContext(t.Context(), n.url+path, header)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &client{t: t, ws: ws}
}

// openIO opens an Engine.IO session without joining the namespace.
func openIO(t *testing.T, n *node, header http.Header) *client {
	t.Helper()
	c := dial(t, n, "/socket.io/?EIO=4&transport=websocket", header)
	if packet := c.read(); !strings.HasPrefix(packet, "0{") {
		t.Fatalf("opened with %q", packet)
	}
	return c
}

// connectIO connects a Socket.IO client.
func connectIO(t *testing.T, n *node, token string) *client {
	t.Helper()
	c := openIO(t, n, nil)
	c.write(`40{"token":"` + token + `"}`)
	if packet := c.read(); !strings.HasPrefix(packet, `40{"sid":"`) {
		t.Fatalf("connecting was answered by %q", packet)
	}
	return c
}

// connectPlain connects a plain client.
func connectPlain(t *testing.T, n *node, token string) *client {
	t.Helper()
	return dial(t, n, "/ws", http.Header{"Authorization": {"Bearer " + token}})
}

func (c *client) write(message string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		c.t.Fatalf("write %q: %v", message, err)
	}
}

// next returns the next message that is not a heartbeat, or the error that ended the connection.
func (c *client) next() (string, error) {
	if err := c.ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	for {
		_, data, err := c.ws.ReadMessage()
		if err != nil {
			return "", err
		}
		if string(data) != "2" {
			return string(data), nil
		}
	}
}

func (c *client) read() string {
	c.t.Helper()
	message, err := c.next()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return message
}

// want reads messages and compares them with these.
func (c *client) want(messages ...string) {
	c.t.Helper()
	for _, message := range messages {
		if got := c.read(); got != message {
			c.t.Fatalf("got  %s\nwant %s", got, message)
		}
	}
}

// ask writes a message and expects this answer.
func (c *client) ask(message, answer string) {
	c.t.Helper()
	c.write(message)
	c.want(answer)
}

// wantClosed reads until the connection ends and compares the close code.
func (c *client) wantClosed(code int) {
	c.t.Helper()
	message, err := c.next()
	if err == nil {
		c.t.Fatalf("got %s instead of the end", message)
	}
	if !websocket.IsCloseError(err, code) {
		c.t.Fatalf("closed by %v, not %d", err, code)
	}
}

// refusedPlain dials the plain endpoint, which must refuse the client. It returns the problem.
func refusedPlain(t *testing.T, n *node, header http.Header) (status int, problem map[string]any) {
	t.Helper()
	ws, response, err := websocket.DefaultDialer.DialContext(t.Context(), n.url+"/ws", header)
	if err == nil {
		_ = ws.Close()
		t.Fatal("let in")
	}
	if response == nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&problem); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, problem
}

// receive takes a value from a channel.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	return waittest.Receive(t, "a value comes", from)
}
