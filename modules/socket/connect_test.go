package socket_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

func TestSocketIORefusedTokenMayTryAgain(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	c := openIO(t, n, nil)
	c.write("40")
	if got := c.read(); !strings.HasPrefix(got, `44{"message":"a valid token is needed`) || !strings.HasSuffix(got, `"data":{"code":"unauthenticated"}}`) {
		t.Fatalf("got %s", got)
	}
	c.ask(`40{"token":"bad"}`, `44{"message":"`+fault.ErrUnauthorized.Message+`","data":{"code":"unauthenticated"}}`)
	c.ask(`40{"token":"broken"}`, `44{"message":"internal error","data":{"code":"internal"}}`)
	c.ask(`40{"token":"alice -1s"}`, `44{"message":"the token has expired","data":{"code":"unauthenticated"}}`)
	if got := n.hub.Sockets("user:alice"); len(got) > 0 {
		t.Errorf("a refused socket is in a room: %v", got)
	}
	c.write(`40{"token":"alice"}`)
	if got := c.read(); !strings.HasPrefix(got, `40{"sid":"`) || len(got) != len(`40{"sid":"12345678901234567890"}`) {
		t.Fatalf("got %s", got)
	}
}

func TestTokenSources(t *testing.T) {
	t.Parallel()
	who := socket.On("who", func(_ context.Context, s *socket.Socket, _ struct{}) (string, error) { return s.Identity().Name, nil })
	n := start(t, adapter.NewMesh(), who)
	tests := []struct {
		name, path, connect string
		header              http.Header
		want                string // empty: refused
	}{
		{"auth", "", `40{"token":"alice","more":1}`, nil, "ALICE"},
		{"header", "", `40`, http.Header{"Authorization": {"bearer alice"}}, "ALICE"},
		{"auth before header", "", `40{"token":"bob"}`, http.Header{"Authorization": {"Bearer alice"}}, "BOB"},
		{"subprotocol", "", `40{}`, http.Header{"Sec-Websocket-Protocol": {"moim, bearer.alice"}}, "ALICE"},
		{"query", "&token=alice", `40`, nil, ""},
		{"token that is no string", "", `40{"token":1}`, nil, ""},
	}
	for _, test := range tests {
		t.Run("socket.io "+test.name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, n, "/socket.io/?EIO=4&transport=websocket"+test.path, test.header)
			c.read()
			c.write(test.connect)
			if test.want == "" {
				if got := c.read(); !strings.HasPrefix(got, "44{") {
					t.Fatalf("got %s", got)
				}
				return
			}
			c.read()
			c.ask(`420["who"]`, `430[{"data":"`+test.want+`"}]`)
		})
	}
	for name, header := range map[string]http.Header{
		"header":      {"Authorization": {"Bearer alice"}},
		"subprotocol": {"Sec-Websocket-Protocol": {"moim, bearer.alice"}},
	} {
		t.Run("plain "+name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, n, "/ws", header)
			c.ask(`{"id":1,"event":"who"}`, `{"id":1,"data":"ALICE"}`)
			if name == "subprotocol" && c.ws.Subprotocol() != "moim" {
				t.Errorf("the subprotocol is %q", c.ws.Subprotocol())
			}
		})
	}
}

func TestPlainRefusedByProblem(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	for token, want := range map[string]struct {
		status int
		code   string
	}{"bad": {http.StatusUnauthorized, "unauthenticated"}, "broken": {http.StatusInternalServerError, "internal"}} {
		status, problem := refusedPlain(t, n, http.Header{"Authorization": {"Bearer " + token}})
		if status != want.status || problem["code"] != want.code || problem["title"] != http.StatusText(want.status) {
			t.Errorf("%s: %d %v", token, status, problem)
		}
	}
	if status, problem := refusedPlain(t, n, nil); status != http.StatusUnauthorized || problem["code"] != "unauthenticated" {
		t.Errorf("no token: %d %v", status, problem)
	}
}

func TestOtherNamespaces(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	c := openIO(t, n, nil)
	c.ask(`40/admin,{"token":"alice"}`, `44/admin,{"message":"Invalid namespace"}`)
	c.ask(`40/bare`, `44/bare,{"message":"Invalid namespace"}`)
	c.write(`40{"token":"alice"}`)
	c.read()
	c.ask(`40/admin?x=1,`, `44/admin?x=1,{"message":"Invalid namespace"}`)
	c.ask(`420["nothing"]`, `430[{"data":{}}]`)
}

func TestSocketIOClosesOnWhatClientsMustNotSend(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	for _, message := range []string{
		`42["echo"]`, `41`, `431[]`, `44{}`, `40[]`, `40null`, `47`, `4`, `450-["x"]`, `4511-["x"]`, `45["x"]`, `42/admin,["x"]`,
	} {
		t.Run("before connecting "+message, func(t *testing.T) {
			t.Parallel()
			c := openIO(t, n, nil)
			c.write(message)
			c.wantClosed(websocket.CloseNoStatusReceived)
		})
	}
	for _, message := range []string{`40`, `44{}`, `42{}`, `42["connect"]`, `42["x"`, `41{}`, `450-["x"]`, `4511-["x"]`, `45["x"]`, `46x-7[]`, `41/admin,`} {
		t.Run("after connecting "+message, func(t *testing.T) {
			t.Parallel()
			c := connectIO(t, n, "alice")
			c.write(message)
			c.wantClosed(websocket.CloseNoStatusReceived)
		})
	}
	c := connectIO(t, n, "alice")
	c.write(`4312345[]`) // an answer to no request
	c.ask(`420["nothing"]`, `430[{"data":{}}]`)
}

func TestPlainBadMessages(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	c := connectPlain(t, n, "alice")
	const begin = `"error":{"code":"bad_request","message":"the message could not be read: `
	c.ask(`hello`, `{`+begin+`it is not JSON"}}`)
	c.ask(`{"id":7,"event":"echo","extra":1}`, `{"id":7,`+begin+`it has a field besides id, event and data"}}`)
	c.ask(`{"id":8}`, `{"id":8,`+begin+`event is missing"}}`)
	c.ask(`{"id":9,"event":"nothing"}`, `{"id":9,"data":{}}`)
	for range 16 {
		c.ask(`[]`, `{`+begin+`it is not an object"}}`)
	}
	c.wantClosed(websocket.CloseProtocolError)
}

func TestNobodyConnects(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	n.SetTimeouts(5*time.Second, time.Minute, time.Minute)
	idle, refused, connected := openIO(t, n, nil), openIO(t, n, nil), connectIO(t, n, "alice")
	refused.write(`40{"token":"bad"}`)
	refused.read()
	idle.wantClosed(websocket.CloseNoStatusReceived)
	refused.wantClosed(websocket.CloseNoStatusReceived)
	connected.ask(`420["nothing"]`, `430[{"data":{}}]`)
	connected.write(`41`)
	connected.wantClosed(websocket.CloseNoStatusReceived)
}

// TestConnectingHasADeadline checks that a slow OnConnect handler refuses the client, on
// both endpoints.
func TestConnectingHasADeadline(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), socket.OnConnect(func(ctx context.Context, _ *socket.Socket) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	n.SetTimeouts(time.Minute, 50*time.Millisecond, time.Minute)
	c := openIO(t, n, nil)
	c.ask(`40{"token":"alice"}`, `44{"message":"this took too long; try again","data":{"code":"unavailable"}}`)
	_, response, err := websocket.DefaultDialer.DialContext(t.Context(), n.url+"/ws", http.Header{"Authorization": {"Bearer alice"}})
	if err == nil || response == nil {
		t.Fatalf("the client was not refused: %v", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %s", response.Status)
	}
}

func TestOnConnectRefuses(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 10)
	n := start(t, adapter.NewMesh(),
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
			return errors.Join(s.Join("lobby"), s.Emit("never", 1))
		}),
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
			switch s.UserID() {
			case "banned":
				return fault.New(fault.Forbidden, "banned", "you are banned")
			case "unlucky":
				return errors.New("a detail")
			case "panicking":
				panic("a detail")
			}
			return nil
		}),
		socket.OnDisconnect(func(s *socket.Socket, _ engine.Reason) { ended <- s.UserID() }),
	)
	internal := `44{"message":"internal error","data":{"code":"internal"}}`
	for user, answer := range map[string]string{
		"banned": `44{"message":"you are banned","data":{"code":"banned"}}`, "unlucky": internal, "panicking": internal,
	} {
		c := openIO(t, n, nil)
		c.ask(`40{"token":"`+user+`"}`, answer)
		if got := receive(t, ended); got != user {
			t.Errorf("%s ended", got)
		}
		if len(n.hub.Sockets("lobby"))+len(n.hub.Sockets("user:"+user)) > 0 {
			t.Error("a refused socket stayed in its rooms")
		}
		c.write(`40{"token":"alice"}`) // the connection stays open
		if got := c.read(); !strings.HasPrefix(got, `40{"sid":"`) {
			t.Fatalf("got %s", got)
		}
		c.want(`42["never",1]`)
		_ = c.ws.Close()
		if got := receive(t, ended); got != "alice" {
			t.Errorf("%s ended", got)
		}
	}
	status, problem := refusedPlain(t, n, http.Header{"Authorization": {"Bearer banned"}})
	if status != http.StatusForbidden || problem["code"] != "banned" || problem["detail"] != "you are banned" {
		t.Errorf("refused by %d %v", status, problem)
	}
	if got := receive(t, ended); got != "banned" {
		t.Errorf("%s ended", got)
	}
}

// TestConnectFlood checks that a client that connects to namespaces without end is disconnected.
func TestConnectFlood(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	c := openIO(t, n, nil)
	for range 1000 {
		if c.ws.WriteMessage(websocket.TextMessage, []byte("40/none,")) != nil {
			break // the server closed it
		}
	}
	answers := 0
	for ; ; answers++ {
		if _, err := c.next(); err != nil {
			if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
				t.Errorf("closed by %v", err)
			}
			break
		}
	}
	if answers > 500 {
		t.Errorf("%d answers", answers)
	}
}
