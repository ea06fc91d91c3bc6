package socket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

type echoRequest struct {
	Text  string `json:"text"`
	Times int    `json:"times"`
}

func (r echoRequest) Validate() error {
	if r.Times < 0 {
		return fault.Validation(fault.Field{Field: "times", Message: "must not be negative"})
	}
	if r.Text == "plainly wrong" {
		return errors.New("text is plainly wrong")
	}
	return nil
}

type echoReply struct {
	Text string `json:"text"`
	User string `json:"user"`
}

func echo(_ context.Context, s *socket.Socket, req echoRequest) (echoReply, error) {
	return echoReply{Text: req.Text, User: s.UserID()}, nil
}

// testHandlers are the handlers that most tests need.
func testHandlers() []socket.Handler {
	return []socket.Handler{
		socket.On("echo", echo),
		socket.On("raw", func(_ context.Context, _ *socket.Socket, data json.RawMessage) (json.RawMessage, error) {
			return data, nil
		}),
		socket.On("nothing", func(context.Context, *socket.Socket, struct{}) (struct{}, error) { return struct{}{}, nil }),
		socket.On("forbidden", func(context.Context, *socket.Socket, struct{}) (any, error) {
			return nil, fmt.Errorf("while trying: %w", fault.ErrForbidden.WithCause(errors.New("a detail")))
		}),
		socket.On("broken", func(context.Context, *socket.Socket, struct{}) (any, error) {
			return nil, errors.New("dial tcp: secret detail")
		}),
		socket.On("unanswerable", func(context.Context, *socket.Socket, struct{}) (any, error) { return make(chan int), nil }),
		socket.On("panic", func(context.Context, *socket.Socket, struct{}) (any, error) {
			return [1]int{}[len(os.Args[0])], nil
		}),
		socket.On("slow", func(ctx context.Context, _ *socket.Socket, _ struct{}) (any, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("wait: %w", ctx.Err())
		}),
		socket.On("join", func(_ context.Context, s *socket.Socket, room string) (struct{}, error) {
			return struct{}{}, s.Join(room)
		}),
		socket.On("leave", func(_ context.Context, s *socket.Socket, room string) (struct{}, error) {
			return struct{}{}, s.Leave(room)
		}),
	}
}

// TestAnswers sends the same events through both endpoints.
func TestAnswers(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	n.SetTimeouts(time.Minute, 50*time.Millisecond, time.Minute)
	tests := []struct{ name, event, data, answer string }{
		{"reply", "echo", `{"text":"hi","times":2}`, `"data":{"text":"hi","user":"alice"}`},
		{"markup stays", "echo", `{"text":"<b>&"}`, `"data":{"text":"<b>&","user":"alice"}`},
		{"numbers stay", "raw", `{"z":1.000,"a":12345678901234567890}`, `"data":{"z":1.000,"a":12345678901234567890}`},
		{"null data", "echo", `null`, `"data":{"text":"","user":"alice"}`},
		{"unknown field", "echo", `{"txt":"hi"}`, `"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"txt","message":"is not a field of this event"}]}`},
		{"wrong type", "echo", `{"times":"2"}`, `"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"times","message":"must be a whole number"}]}`},
		{"no object", "echo", `[]`, `"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"","message":"must be an object"}]}`},
		{"validation", "echo", `{"times":-1}`, `"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"times","message":"must not be negative"}]}`},
		{"plain validation", "echo", `{"text":"plainly wrong"}`, `"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"","message":"text is plainly wrong"}]}`},
		{"unknown event", "nobody", `{}`, `"error":{"code":"unknown_event","message":"there is no event of this name"}`},
		{"refused", "forbidden", `{}`, `"error":{"code":"forbidden","message":"you are not allowed to do this"}`},
		{"failed", "broken", `{}`, `"error":{"code":"internal","message":"internal error"}`},
		{"answer that is no JSON", "unanswerable", `{}`, `"error":{"code":"internal","message":"internal error"}`},
		{"panic", "panic", `{}`, `"error":{"code":"internal","message":"internal error"}`},
		{"too slow", "slow", `{}`, `"error":{"code":"unavailable","message":"this took too long; try again"}`},
		{"still there", "nothing", `{}`, `"data":{}`},
	}
	io, plain := connectIO(t, n, "alice"), connectPlain(t, n, "alice")
	for i, test := range tests { // in order, because all use the same sockets
		t.Run(test.name, func(t *testing.T) {
			io.t, plain.t = t, t
			io.ask(fmt.Sprintf(`42%d["%s",%s]`, i, test.event, test.data), fmt.Sprintf(`43%d[{%s}]`, i, test.answer))
			plain.ask(fmt.Sprintf(`{"id":%d,"event":"%s","data":%s}`, i, test.event, test.data), fmt.Sprintf(`{"id":%d,%s}`, i, test.answer))
		})
	}
	if n.logs.Count("index out of range") == 0 || n.logs.Count("gateway_test.go") == 0 {
		t.Error("the panic and its stack were not logged")
	}
	if n.logs.Count("secret detail") == 0 {
		t.Error("the internal error was not logged")
	}
}

func TestNoAnswerWithoutID(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	io := connectIO(t, n, "alice")
	io.write(`42["echo",{"text":"a"}]`)
	io.write(`42["nobody"]`)
	io.write(`42["broken"]`)
	io.ask(`420["nothing"]`, `430[{"data":{}}]`)
	io.ask(`421["nothing",{},1]`, `431[{"error":{"code":"bad_request","message":"an event has one argument: its data"}}]`)
	plain := connectPlain(t, n, "alice")
	plain.write(`{"event":"echo","data":{}}`)
	plain.write(`{"event":"nobody"}`)
	plain.ask(`{"id":0,"event":"nothing"}`, `{"id":0,"data":{}}`)
}

func TestMessagesAreHandledInOrder(t *testing.T) {
	t.Parallel()
	const messages = 2000
	n := start(t, adapter.NewMesh(), testHandlers()...)
	endpoints := map[string]struct {
		client         *client
		format, answer string
	}{
		"socket.io": {connectIO(t, n, "alice"), `42%d["raw",%d]`, `43%d[{"data":%d}]`},
		"plain":     {connectPlain(t, n, "alice"), `{"id":%d,"event":"raw","data":%d}`, `{"id":%d,"data":%d}`},
	}
	for name, endpoint := range endpoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint.client.t = t
			go func() {
				for i := range messages {
					if endpoint.client.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, endpoint.format, i, i)) != nil {
						return // the reader reports the error
					}
				}
			}()
			for i := range messages {
				endpoint.client.want(fmt.Sprintf(endpoint.answer, i, i))
			}
		})
	}
}

// TestSlowHandlerHoldsItsSocketOnly checks that a slow handler delays only its own socket. It
// also fills the message queue, so that the connection is paused.
func TestSlowHandlerHoldsItsSocketOnly(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	n := start(t, adapter.NewMesh(), socket.On("wait", func(ctx context.Context, _ *socket.Socket, _ string) (bool, error) {
		select {
		case <-gate:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}), socket.On("echo", echo))
	slow, quick := connectIO(t, n, "alice"), connectIO(t, n, "alice")
	const messages = 40
	ballast := strings.Repeat("x", 32<<10)
	written := make(chan error, 1)
	go func() {
		for i := range messages {
			if err := slow.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42%d["wait","%s"]`, i, ballast)); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	quick.ask(`420["echo",{}]`, `430[{"data":{"text":"","user":"alice"}}]`)
	close(gate)
	for i := range messages {
		slow.want(fmt.Sprintf(`43%d[{"data":true}]`, i))
	}
	if err := receive(t, written); err != nil {
		t.Fatal(err)
	}
}

func TestAfterFollowsTheAnswer(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(),
		socket.OnConnect(func(ctx context.Context, s *socket.Socket) error {
			socket.After(ctx, func() { emit(t, s, "after", `"connect"`) })
			emit(t, s, "during", `"connect"`)
			return nil
		}),
		socket.On("x", func(ctx context.Context, s *socket.Socket, fail bool) (string, error) {
			socket.After(ctx, func() { emit(t, s, "after", `"x"`) })
			emit(t, s, "during", `"x"`)
			if fail {
				panic("no")
			}
			return "answer", nil
		}))
	c := connectIO(t, n, "alice")
	c.want(`42["during","connect"]`, `42["after","connect"]`)
	c.write(`421["x",false]`)
	c.want(`42["during","x"]`, `431[{"data":"answer"}]`, `42["after","x"]`)
	c.write(`422["x",true]`)
	c.want(`42["during","x"]`, `432[{"error":{"code":"internal","message":"internal error"}}]`, `42["after","x"]`)

	ran := false
	socket.After(context.Background(), func() { ran = true })
	if !ran {
		t.Error("outside of a handler it did not run at once")
	}
}

func TestNewReportsAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := socket.New(socket.Config{MaxFrame: 1}, socket.Deps{},
		socket.On("x", echo), socket.On("x", echo), socket.On("", echo), socket.On("connect", echo), socket.Handler{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"socket.max.frame", "Deps.Hub", "socket.Anonymous", `socket: two handlers for event "x"`,
		`"" is not a valid event name`, `"connect" is not a valid event name`, "a handler without a function",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	deps := socket.Deps{Hub: adapter.NewHub(adapter.NewMesh().Adapter()), Authenticate: socket.Anonymous, Registerer: registry}
	n := serve(t, deps, testHandlers()...)
	c := openIO(t, n, nil)
	c.write("40")
	c.read()
	c.ask(`420["nothing"]`, `430[{"data":{}}]`)
	c.ask(`421["nobody-1"]`, `431[{"error":{"code":"unknown_event","message":"there is no event of this name"}}]`)
	c.ask(`422["broken"]`, `432[{"error":{"code":"internal","message":"internal error"}}]`)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`moim_socket_events_total{event="broken",outcome="failed"} 1`,
		`moim_socket_events_total{event="nothing",outcome="ok"} 1`,
		`moim_socket_events_total{event="unknown",outcome="refused"} 1`,
		`moim_socket_event_seconds_count{event="nothing"} 1`,
		`moim_sockets{endpoint="socketio"} 1`,
		`moim_socket_connections 1`,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s is not in\n%s", want, answer.Body)
		}
	}
	if _, err := socket.New(socket.Config{}, deps); err == nil {
		t.Error("metrics were registered twice")
	}
}
