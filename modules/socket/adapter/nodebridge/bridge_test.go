package nodebridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"
	"github.com/tinylib/msgp/msgp"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/nodebridge"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

// node is a node with a bridge. Its clients are in the room "lobby", and in a module's
// room "module:secret".
type node struct {
	t      *testing.T
	url    string
	bridge *nodebridge.Bridge
	out    *socket.Emitter
	redis  *redis.Client
}

func start(t *testing.T, server *redistest.Server) *node {
	t.Helper()
	clients, err := redisrole.New(redisrole.Config{URL: server.URL()}, "node", nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	bridge, err := nodebridge.New(clients, nodebridge.DefaultKey, log)
	if err != nil {
		t.Fatal(err)
	}
	hub := adapter.NewHub(adapter.NewMesh().Adapter())
	module, err := hub.Reserve(&adapter.Names{Owner: "a module", Rooms: []string{"module:"}, Events: []string{"module:"}})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, bridge: bridge, out: socket.NewEmitter(hub), redis: server.Client()}
	gateway, err := socket.New(socket.Config{}, socket.Deps{
		Hub: hub, Emitter: n.out, Bridge: bridge, Log: log,
		Authenticate: func(_ context.Context, h socket.Handshake) (auth.Identity, error) {
			return auth.Identity{UserID: h.Token}, nil
		},
	}, socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
		return errors.Join(s.Join("lobby"), socket.ForModule(module, s).Join("module:secret"))
	}))
	if err == nil {
		err = errors.Join(hub.Start(t.Context()), gateway.Start(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(gateway)
	n.url = web.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(gateway.Stop(ctx), hub.Stop(ctx), clients.Close()); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return n
}

// client is a Socket.IO client over a WebSocket.
type client struct {
	t    *testing.T
	conn *websocket.Conn
}

func (n *node) connect(user string) client {
	n.t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial(strings.Replace(n.url, "http", "ws", 1)+"/?EIO=4&transport=websocket&access_token=secret", http.Header{
		"Authorization": {"Bearer secret"}, "X-Api-Key": {"secret"}, "Cookie": {"session=secret"},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	c := client{n.t, conn}
	c.next() // the open packet
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`40{"token":"`+user+`"}`)); err != nil {
		n.t.Fatal(err)
	}
	if welcome := c.next(); !strings.HasPrefix(welcome, "40{") {
		n.t.Fatalf("the client was welcomed with %s", welcome)
	}
	return c
}

func (c client) next() string {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, data, err := c.conn.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	return string(data)
}

// publish publishes like Node's classic adapter.
func (n *node) publish(channel string, payload any) {
	n.t.Helper()
	if v, raw := payload.([]any); raw {
		data, err := msgp.AppendIntf(nil, v)
		if err != nil {
			n.t.Fatal(err)
		}
		payload = data
	}
	if err := n.redis.Publish(n.t.Context(), channel, payload).Err(); err != nil {
		n.t.Fatal(err)
	}
}

type object = map[string]any

// event is a broadcast to a room.
func event(name string, rooms ...any) []any {
	return []any{"nodeId", object{"type": 2, "data": []any{name, 1}, "nsp": "/"}, object{"rooms": rooms, "except": []any{}}}
}

const (
	rooms    = "socket.io#/#"
	requests = "socket.io-request#/#"
)

// TestNodeServersCannotForgeModules checks that other servers cannot send to a module's rooms or
// send its events. They may send to the rooms of users.
func TestNodeServersCannotForgeModules(t *testing.T) {
	t.Parallel()
	n := start(t, redistest.Start(t))
	alice, bob := n.connect("alice"), n.connect("bob")
	n.publish(rooms, event("forged", "module:secret"))
	n.publish(rooms+"module:secret#", event("forged", "module:secret"))
	n.publish(rooms, event("module:event", "lobby"))
	n.publish(rooms, event("socket:disconnect", "user:alice"))
	n.publish(requests, `{"uid":"nodeId","type":2,"opts":{"rooms":["lobby"],"except":[]},"rooms":["user:bob","module:secret"]}`)
	n.publish(requests, `{"uid":"nodeId","type":3,"opts":{"rooms":["lobby"],"except":[]},"rooms":["user:alice"]}`)
	n.publish(rooms, event("for bob", "user:bob"))
	n.publish(rooms, event("for alice", "user:alice", "nobody"))
	n.publish(rooms, event("for all", "lobby"))
	for c, want := range map[client]string{alice: `42["for alice",1]`, bob: `42["for bob",1]`} {
		for _, want := range []string{want, `42["for all",1]`} {
			if got := c.next(); got != want {
				t.Errorf("a client saw %s, want %s", got, want)
			}
		}
	}
}

// TestMalformedMessagesAreDropped checks that messages that are malformed or have no target are
// dropped and counted, and that the bridge keeps working.
func TestMalformedMessagesAreDropped(t *testing.T) {
	t.Parallel()
	n := start(t, redistest.Start(t))
	alice := n.connect("alice")
	hostile := []any{
		"\xc1", "", "{", "[]", "nonsense", "\xdd\xff\xff\xff\xff", strings.Repeat("\x91", 100_000), strings.Repeat(`{"a":`, 100_000),
		[]any{"nodeId"},
		[]any{"nodeId", object{}, object{}},
		[]any{1, 2, 3},
		append(event("e", "lobby"), 1),
		[]any{"nodeId", object{"type": 2, "data": []any{1}, "nsp": "/"}, object{"rooms": []any{}, "except": []any{}}},
		[]any{"nodeId", object{"type": 2, "data": []any{"e"}, "nsp": "/"}, object{"rooms": nil, "except": []any{}}},
		[]any{"nodeId", object{"type": 2, "data": []any{"e"}, "nsp": "/"}, object{"rooms": "lobby", "except": []any{}}},
		[]any{"nodeId", object{"type": 2, "data": []any{"e"}, "nsp": "/"}, object{"rooms": []any{[]byte("lobby")}, "except": []any{}}},
		[]any{"nodeId", object{"type": 2, "data": []any{"connect"}, "nsp": "/"}, object{"rooms": []any{}, "except": []any{}}},
		[]any{"nodeId", object{"type": 2, "data": []any{"e", make([]any, 11)}, "nsp": "/"}, object{"rooms": []any{1}, "except": []any{}}},
		[]any{"nodeId", object{"type": 2, "data": []any{"e", tooMany(11)}, "nsp": "/"}, object{"rooms": []any{"lobby"}, "except": []any{}}},
	}
	for _, payload := range hostile {
		n.publish(rooms, payload)
	}
	counted := int64(len(hostile))
	for _, payload := range []any{
		"\xc1", "{", "[]", "null", `{"type":4}`, `{"type":5,"requestId":"q"}`, `{"type":4,"opts":{}}`, `{"type":2,"opts":{"rooms":null},"rooms":["x"]}`,
		`{"type":"4"}`, `{"type":7,"requestId":"q","opts":{"rooms":[],"except":[]},"packet":{}}`, `{"type":99,"opts":{"rooms":[],"except":[]}}`,
		`{"type":5,"uid":"` + strings.Repeat("u", 100) + `","requestId":"q","opts":{"rooms":[],"except":[]}}`,
	} {
		n.publish(requests, payload)
		n.publish("socket.io-response#/#", payload)
	}
	for _, payload := range []string{"\xc1", "{", "[]", `{"type":3}`, `{"type":6,"nsp":"/","data":{}}`, `{"type":3,"nsp":"/","uid":"u","data":{"opts":{"rooms":[]},"packet":{"type":2,"data":[]}}}`} {
		if err := n.redis.SPublish(t.Context(), rooms, payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	n.publish(rooms, event("goes on", "lobby"))
	if got := alice.next(); got != `42["goes on",1]` {
		t.Errorf("the client saw %s", got)
	}
	if s := n.bridge.Stats(); s.Dropped < counted {
		t.Errorf("%d messages were dropped, want at least %d", s.Dropped, counted)
	}
}

func tooMany(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = []byte{1}
	}
	return list
}

// TestAnswersHoldNoSecret checks that answers to requests of another server contain the fields
// that it needs, and no secret.
func TestAnswersHoldNoSecret(t *testing.T) {
	t.Parallel()
	n := start(t, redistest.Start(t))
	answers := n.redis.Subscribe(t.Context(), "socket.io-response#/#nodeId#")
	defer func() { _ = answers.Close() }()
	if _, err := answers.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.connect("alice-has-a-secret-token")
	n.publish(requests, `{"uid":"nodeId","requestId":"q1","type":5,"opts":{"rooms":[],"except":[]}}`)
	answer := receive(t, answers)
	if strings.Count(answer, "secret") != 2 { // the user's id and room; in this test they equal the token
		t.Errorf("the answer is %s", answer)
	}
	for _, want := range []string{`{"requestId":"q1","sockets":[{"id":"`, `"auth":{}`, `"rooms":["`, `"data":{"userId":`, `"address":"127.0.0.1"`, `"query":{"EIO":"4","transport":"websocket"}`, `"user-agent":"`} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer is %s, want %s in it", answer, want)
		}
	}
	n.publish(requests, `{"uid":"nodeId","requestId":"q2","type":1}`)
	if answer := receive(t, answers); !strings.Contains(answer, `"lobby"`) || strings.Contains(answer, "module:") {
		t.Errorf("the rooms are %s", answer)
	}
	n.publish(requests, `{"uid":"nodeId","requestId":"q3","type":0,"rooms":["nobody"]}`)
	if answer := receive(t, answers); answer != `{"requestId":"q3","sockets":[]}` {
		t.Errorf("the sockets of an empty room are %s", answer)
	}
}

func receive(t *testing.T, from *redis.PubSub) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := from.ReceiveMessage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m.Payload
}

// TestRoomsMayBeNumbers checks that rooms may be numbers, as on Node's servers.
func TestRoomsMayBeNumbers(t *testing.T) {
	t.Parallel()
	n := start(t, redistest.Start(t))
	alice := n.connect("alice")
	n.publish(requests, `{"uid":"nodeId","type":2,"opts":{"rooms":["lobby",7],"except":[1.5]},"rooms":[123]}`)
	n.publish(rooms, event("number", 123, "nobody"))
	if got := alice.next(); got != `42["number",1]` {
		t.Errorf("the client saw %s", got)
	}
}

// TestAnIncompleteAnswerIsNotTakenForAllOfThem checks that a list of all servers' sockets is
// never incomplete, even if the connection fails. An error must be returned instead.
func TestAnIncompleteAnswerIsNotTakenForAllOfThem(t *testing.T) {
	t.Parallel()
	n := start(t, redistest.Start(t))
	slow := n.redis.Subscribe(t.Context(), requests) // a slow server of Node
	defer func() { _ = slow.Close() }()
	if _, err := slow.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(n.redis.Do(t.Context(), "client", "list", "type", "pubsub").Val())
	var answers sync.WaitGroup
	defer answers.Wait()
	go func() {
		for m := range slow.Channel() {
			var question struct{ UID, RequestID string }
			if json.Unmarshal([]byte(m.Payload), &question) != nil {
				continue
			}
			answers.Go(func() {
				<-time.After(30 * time.Millisecond)
				n.redis.Publish(context.WithoutCancel(t.Context()), "socket.io-response#/#"+question.UID+"#",
					`{"requestId":"`+question.RequestID+`","sockets":[{"id":"slow","rooms":[5]}]}`)
			})
		}
	}()
	complete := 0
	for i := 0; i < 40 || complete == 0 && i < 200; i++ { // on a busy machine, none of the first answers may be complete
		if i%3 == 0 { // end all subscriptions but the slow server's
			for line := range strings.Lines(fmt.Sprint(n.redis.Do(t.Context(), "client", "list", "type", "pubsub").Val())) {
				var client string
				if _, err := fmt.Sscanf(line, "id=%s", &client); err == nil && !strings.Contains(id, "id="+client+" ") || strings.Contains(line, "psub=1") || strings.Contains(line, "ssub=") && !strings.Contains(line, "ssub=0") {
					n.redis.Do(t.Context(), "client", "kill", "id", client)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		found, err := n.out.All().Sockets(ctx)
		cancel()
		if err == nil {
			complete++
			if len(found) != 1 || found[0].ID != "slow" {
				t.Errorf("call %d returned %v as all sockets", i, found)
			}
		}
	}
	if complete == 0 {
		t.Error("no call was complete")
	}
}

// TestStartsWithoutRedis checks that the node starts while Redis is down, and serves its own
// sockets.
func TestStartsWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Kill()
	n := start(t, server)
	alice := n.connect("alice")
	if err := n.out.To("lobby").Emit(t.Context(), "local"); err != nil {
		t.Errorf("emit: %v", err)
	}
	if got := alice.next(); got != `42["local"]` {
		t.Errorf("the client saw %s", got)
	}
	if _, err := n.out.All().Sockets(t.Context()); !errors.Is(err, socket.ErrIncomplete) {
		t.Errorf("sockets of all servers: %v, want ErrIncomplete", err)
	}
	server.Restart()
	for heard := false; !heard; {
		n.publish(rooms, event("back", "lobby"))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := n.out.All().Sockets(ctx)
		heard = err == nil && n.bridge.Stats().Received > 0
		cancel()
	}
	if got := alice.next(); got != `42["back",1]` {
		t.Errorf("the client saw %s", got)
	}
}
