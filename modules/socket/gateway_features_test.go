package socket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// echoArgs answers with its arguments.
func echoArgs(_ context.Context, _ *socket.Socket, args socket.Args) (socket.Args, error) {
	return args, nil
}

func (c *client) writeBinary(data ...byte) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.BinaryMessage, data); err != nil {
		c.t.Fatal(err)
	}
}

// join connects to another namespace, and returns the socket's id.
func (c *client) join(namespace, token string) string {
	c.t.Helper()
	c.write(`40` + namespace + `,{"token":"` + token + `"}`)
	id, found := strings.CutPrefix(c.read(), `40`+namespace+`,{"sid":"`)
	if !found {
		c.t.Fatalf("connecting to %s was answered by %s", namespace, id)
	}
	return strings.TrimSuffix(id, `"}`)
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 10)
	ends := func(name string) socket.Handler {
		return socket.OnDisconnect(func(_ *socket.Socket, reason engine.Reason) { ended <- name + " " + reason.String() })
	}
	handlers := append(socket.In("/chat", socket.OnRaw("who", func(_ context.Context, s *socket.Socket, _ socket.Args) (socket.Args, error) {
		return socket.Args{s.Namespace(), s.UserID()}, nil
	}), ends("chat")),
		socket.On("who", func(_ context.Context, s *socket.Socket, _ struct{}) (string, error) { return s.Namespace(), nil }), ends("main"))
	n := start(t, adapter.NewMesh(), handlers...)
	c := openIO(t, n, nil)
	c.ask(`40/other,{"token":"alice"}`, `44/other,{"message":"Invalid namespace"}`)
	c.write(`40/chat,{"token":"bad"}`)
	if got := c.read(); !strings.HasPrefix(got, `44/chat,{"message":"`) || !strings.Contains(got, `"unauthenticated"`) {
		t.Errorf("a bad token: %s", got)
	}
	chat := c.join("/chat", "alice")
	c.ask(`42/chat,1["who"]`, `43/chat,1["/chat","alice"]`)
	c.write(`42/chat,2["unknown"]`) // no answer, as on Node's server
	c.write(`40{"token":"bob"}`)
	if id := c.read(); !strings.HasPrefix(id, `40{"sid":"`) || strings.Contains(id, chat) {
		t.Errorf("the main namespace: %s", id)
	}
	c.ask(`423["who"]`, `433[{"data":"/"}]`)
	c.ask(`424["unknown"]`, `434[{"error":{"code":"unknown_event","message":"there is no event of this name"}}]`)
	c.write(`41/chat,`)
	if got := receive(t, ended); got != "chat client namespace disconnect" {
		t.Errorf("ended: %s", got)
	}
	c.ask(`425["who"]`, `435[{"data":"/"}]`)
	c.join("/chat", "alice")
	_ = c.ws.Close()
	ends1, ends2 := receive(t, ended), receive(t, ended)
	if got := []string{ends1, ends2}; !slices.Contains(got, "chat transport error") && !slices.Contains(got, "chat transport close") || strings.HasPrefix(ends1, "chat") == strings.HasPrefix(ends2, "chat") {
		t.Errorf("ended: %v", got)
	}
}

func TestNamespaceNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"chat", "/a,b", "/" + strings.Repeat("x", 300)} {
		_, err := socket.New(socket.Config{}, socket.Deps{Hub: adapter.NewHub(adapter.NewMesh().Adapter()), Authenticate: socket.Anonymous}, socket.In(name, socket.OnRaw("x", echoArgs))...)
		if err == nil || !strings.Contains(err.Error(), "is not a namespace") {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func TestRawArguments(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), socket.OnRaw("echo", echoArgs), socket.OnRaw("fails", func(context.Context, *socket.Socket, socket.Args) (socket.Args, error) {
		return nil, fault.ErrForbidden
	}), socket.OnAny(func(_ context.Context, _ *socket.Socket, event string, args socket.Args) (socket.Args, error) {
		return socket.Args{event, len(args)}, nil
	}))
	c := connectIO(t, n, "alice")
	for message, answer := range map[string]string{
		`421["echo"]`: `431[]`,
		`422["echo",1.50,{"b":1,"a":[null]},"<€>"]`: `432[1.50,{"b":1,"a":[null]},"<€>"]`,
		`423["fails"]`:        `433[{"error":{"code":"forbidden","message":"you may not do this"}}]`,
		`424["anything",1,2]`: `434["anything",2]`,
	} {
		c.write(message)
		if got := c.read(); got != answer && !strings.HasPrefix(got, `433[{"error":{"code":"forbidden"`) {
			t.Errorf("%s: %s, want %s", message, got, answer)
		}
	}
	p := connectPlain(t, n, "alice")
	p.ask(`{"id":1,"event":"echo","data":{"a":1}}`, `{"id":1,"data":[{"a":1}]}`)
}

func TestBinary(t *testing.T) {
	t.Parallel()
	type upload struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	n := start(t, adapter.NewMesh(), socket.OnRaw("echo", echoArgs),
		socket.On("size", func(_ context.Context, _ *socket.Socket, in upload) (int, error) { return len(in.Data), nil }),
		socket.On("push", func(_ context.Context, s *socket.Socket, _ struct{}) (struct{}, error) {
			return struct{}{}, s.Emit("pushed", "x", socket.Binary{1}, map[string]any{"deep": socket.Binary{2, 2}})
		}))
	c := connectIO(t, n, "alice")
	c.write(`452-1["echo",{"a":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]`)
	c.writeBinary(1)
	c.writeBinary(2, 2)
	c.want(`462-1[{"a":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1}]`, "\x02\x02", "\x01")
	c.write(`451-2["size",{"name":"x","data":{"_placeholder":true,"num":0}}]`)
	c.writeBinary(1, 2, 3)
	c.want(`432[{"data":3}]`)
	c.write(`42["push",{}]`)
	c.want(`452-["pushed","x",{"_placeholder":true,"num":0},{"deep":{"_placeholder":true,"num":1}}]`, "\x01", "\x02\x02")
	p := connectPlain(t, n, "alice")
	p.write(`{"event":"push"}`)
	p.want(`{"event":"pushed","data":["x","AQ==",{"deep":"AgI="}]}`)

	for name, send := range map[string]func(c *client){
		"binary without a header": func(c *client) { c.writeBinary(1) },
		"a bad placeholder":       func(c *client) { c.write(`451-["echo",{"_placeholder":true,"num":1}]`); c.writeBinary(1) },
		"text between":            func(c *client) { c.write(`451-["echo",{"_placeholder":true,"num":0}]`); c.write(`42["echo"]`) },
	} {
		c := connectIO(t, n, "alice")
		send(c)
		if message, err := c.next(); !websocket.IsCloseError(err, websocket.CloseNoStatusReceived) {
			t.Errorf("%s: %s, %v", name, message, err)
		}
	}
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	type trace struct{}
	order := make(chan string, 10)
	n := start(t, adapter.NewMesh(),
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error { order <- "connect"; return nil }),
		socket.Use(func(_ context.Context, s *socket.Socket) error {
			order <- "use"
			if s.UserID() == "eve" {
				return fault.ErrForbidden.WithMessage("not you")
			}
			return nil
		}),
		socket.UseEvent(func(ctx context.Context, _ *socket.Socket, event string, args socket.Args, next socket.Next) (socket.Args, error) {
			if event == "secret" {
				return nil, fault.ErrForbidden.WithMessage("guarded")
			}
			reply, err := next(context.WithValue(ctx, trace{}, event))
			return append(reply, "seen"), err
		}),
		socket.OnRaw("raw", func(ctx context.Context, _ *socket.Socket, args socket.Args) (socket.Args, error) {
			return socket.Args{ctx.Value(trace{}), args[0]}, nil
		}),
		socket.On("typed", func(ctx context.Context, _ *socket.Socket, in int) (string, error) {
			return fmt.Sprint(ctx.Value(trace{}), in), nil
		}),
		socket.OnRaw("secret", echoArgs),
	)
	c := connectIO(t, n, "alice")
	if first, second := receive(t, order), receive(t, order); first != "use" || second != "connect" {
		t.Errorf("order: %s, %s", first, second)
	}
	c.ask(`421["raw",7]`, `431["raw",7,"seen"]`)
	c.ask(`422["typed",8]`, `432[{"data":"typed8"}]`)
	c.ask(`423["secret"]`, `433[{"error":{"code":"forbidden","message":"guarded"}}]`)
	openIO(t, n, nil).ask(`40{"token":"eve"}`, `44{"message":"not you","data":{"code":"forbidden"}}`)
}

func TestTheServerAsksForAnAcknowledgement(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	sockets := make(chan *socket.Socket, 10)
	n := start(t, adapter.NewMesh(),
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error { sockets <- s; return nil }),
		// The handler waits for the acknowledgement, which is a later message.
		socket.On("ask me", func(ctx context.Context, s *socket.Socket, _ struct{}) (string, error) {
			reply, err := s.EmitWithAck(ctx, "question", 1, socket.Binary{9})
			got <- fmt.Sprint(len(reply), err)
			var text string
			err = errors.Join(err, reply.Decode(0, &text))
			return text, err
		}))
	c := connectIO(t, n, "alice")
	s := receive(t, sockets)
	c.write(`427["ask me",{}]`)
	c.want(`451-0["question",1,{"_placeholder":true,"num":0}]`, "\x09")
	c.write(`461-0["yes",{"_placeholder":true,"num":0}]`)
	c.writeBinary(8)
	c.want(`437[{"data":"yes"}]`)
	if answer := receive(t, got); answer != "2 <nil>" {
		t.Errorf("answered: %s", answer)
	}
	c.write(`4399[]`) // an answer to no request
	// the event is sent before this time, even on a busy machine
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.EmitWithAck(ctx, "question"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	c.want(`421["question"]`)
	done := make(chan error, 1)
	go func() {
		_, err := s.EmitWithAck(t.Context(), "question")
		done <- err
	}()
	c.want(`422["question"]`)
	_ = c.ws.Close()
	if err := receive(t, done); !errors.Is(err, socket.ErrDisconnected) {
		t.Errorf("the client left: %v", err)
	}
}
