package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/waittest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(childtest.Main(m)) }

// patience is how long a test waits for an expected event.
const patience = 30 * time.Second

var endpoints = map[string]Protocol{"Engine.IO": EngineIO, "plain": Plain}

// listeners has a listener for each reader: on Linux, the poller reads from TCP, and
// melody from wrapped connections.
var listeners = map[string]serveFunc{
	"TCP": httptest.NewServer,
	"wrapped": func(h http.Handler) *httptest.Server {
		return newServer(h, func(l net.Listener) net.Listener { return wrappedListener{l} })
	},
}

type serveFunc = func(http.Handler) *httptest.Server

type wrappedListener struct{ net.Listener }

// wrappedConn stands for a connection that transforms its data, such as TLS.
type wrappedConn struct{ *net.TCPConn }

func (l wrappedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(err, errors.ErrUnsupported)
	}
	return wrappedConn{tcp}, err
}

func newServer(h http.Handler, wrap func(net.Listener) net.Listener) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Listener = wrap(s.Listener)
	s.Start()
	return s
}

// testServer is an engine behind a real listener.
type testServer struct {
	*Engine
	http      *httptest.Server
	receivers chan *recorder
}

// recorder is a receiver that records what it received.
type recorder struct {
	conn      *Conn
	handshake Handshake
	messages  chan string
	closed    chan Reason
}

func (r *recorder) Message(data []byte, _ bool) { r.messages <- string(data) }

func (*recorder) Finish(context.Context) {}

func (r *recorder) Closed(reason Reason) {
	r.closed <- reason
	close(r.closed) // a second call would panic
	close(r.messages)
}

// newEngine returns an engine with defaults in place of zero values.
func newEngine(cfg Config, accept Accept) *Engine {
	cfg.MaxFrame = cmp.Or(cfg.MaxFrame, 64<<10)
	cfg.MaxBacklog = cmp.Or(cfg.MaxBacklog, 1<<20)
	cfg.Gather = cmp.Or(cfg.Gather, 5*time.Millisecond)
	cfg.PingInterval = cmp.Or(cfg.PingInterval, 25*time.Second)
	cfg.PingTimeout = cmp.Or(cfg.PingTimeout, 20*time.Second)
	cfg.Polling, cfg.WebSocket = true, true
	return New(cfg, accept, slog.New(slog.DiscardHandler))
}

// start runs an engine until the test ends.
func start(tb testing.TB, cfg Config) *testServer {
	tb.Helper()
	return startOn(tb, httptest.NewServer, cfg)
}

func startOn(tb testing.TB, serve func(http.Handler) *httptest.Server, cfg Config) *testServer {
	tb.Helper()
	s := &testServer{receivers: make(chan *recorder, 1)}
	return s.start(tb, cfg, func(c *Conn, h Handshake) (Receiver, error) {
		r := &recorder{conn: c, handshake: h, messages: make(chan string, 100), closed: make(chan Reason, 1)}
		s.receivers <- r
		return r, nil
	}, serve)
}

func startWith(tb testing.TB, accept Accept) *testServer {
	tb.Helper()
	return new(testServer).start(tb, Config{}, accept, httptest.NewServer)
}

func (s *testServer) start(tb testing.TB, cfg Config, accept Accept, serve func(http.Handler) *httptest.Server) *testServer {
	tb.Helper()
	s.Engine = newEngine(cfg, accept)
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", s.ServeEngineIO)
	mux.HandleFunc("/ws", s.ServePlain)
	s.http = serve(mux)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Drain(ctx); err != nil {
			tb.Errorf("drain: %v", err)
		}
		s.http.Close()
	})
	return s
}

func (s *testServer) addr() string { return s.http.Listener.Addr().String() }

func (s *testServer) url(p Protocol) string { return address(s.addr(), p) }

func address(host string, p Protocol) string {
	if p == EngineIO {
		return "ws://" + host + "/socket.io/?EIO=4&transport=websocket"
	}
	return "ws://" + host + "/ws"
}

// dial connects. With Engine.IO, it reads the open packet.
func (s *testServer) dial(tb testing.TB, p Protocol) (*websocket.Conn, *recorder) {
	tb.Helper()
	return s.dialAt(tb, s.addr(), p)
}

func (s *testServer) dialAt(tb testing.TB, host string, p Protocol) (*websocket.Conn, *recorder) {
	tb.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial(address(host, p), nil)
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	_ = resp.Body.Close()
	tb.Cleanup(func() { _ = ws.Close() })
	if p == EngineIO {
		if open := read(tb, ws); !strings.HasPrefix(open, "0{") {
			tb.Fatalf("opened with %q", open)
		}
	}
	return ws, receive(tb, s.receivers)
}

// refused dials an endpoint that must refuse the client, and returns the response.
func refused(tb testing.TB, url string, header http.Header) *http.Response {
	tb.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial(url, header)
	if err == nil {
		_ = ws.Close()
		tb.Fatalf("%s let in %v", url, header)
	}
	if resp == nil {
		tb.Fatalf("no answer: %v", err)
	}
	return resp
}

// receive takes a value from a channel.
func receive[T any](tb testing.TB, from <-chan T) T {
	tb.Helper()
	return waittest.Receive(tb, "a value comes", from)
}

func (r *recorder) wantClosed(tb testing.TB, want Reason) {
	tb.Helper()
	if got := receive(tb, r.closed); got != want {
		tb.Errorf("closed for %q, want %q", got, want)
	}
}

func read(tb testing.TB, ws *websocket.Conn) string {
	tb.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	_, data, err := ws.ReadMessage()
	if err != nil {
		tb.Fatalf("read: %v", err)
	}
	return string(data)
}

func write(tb testing.TB, ws *websocket.Conn, text string) {
	tb.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		tb.Fatalf("write: %v", err)
	}
}

// readToEnd returns the messages up to the close frame, and its code.
func readToEnd(tb testing.TB, ws *websocket.Conn) (messages []string, code int) {
	tb.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, data, err := ws.ReadMessage()
		if err == nil {
			messages = append(messages, string(data))
			continue
		}
		closed, ok := errors.AsType[*websocket.CloseError](err)
		if !ok {
			tb.Errorf("ended without a goodbye: %v", err)
			return messages, 0
		}
		return messages, closed.Code
	}
}

func wantCode(tb testing.TB, ws *websocket.Conn, want int) {
	tb.Helper()
	if _, got := readToEnd(tb, ws); got != want {
		tb.Errorf("close code %d, want %d", got, want)
	}
}
