package socket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// wrappedListener has connections that the poller cannot read from.
type wrappedListener struct{ net.Listener }

type wrappedConn struct{ *net.TCPConn }

func (l wrappedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(err, errors.ErrUnsupported)
	}
	return wrappedConn{tcp}, err
}

// readers are servers whose connections different code reads from.
var readers = map[string]func(http.Handler) *httptest.Server{
	"TCP": httptest.NewServer,
	"wrapped": func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Listener = wrappedListener{s.Listener}
		s.Start()
		return s
	},
	"TLS": httptest.NewTLSServer,
}

// leaving lists the ways in which a client can end its stream, with the close code that it gets.
// 0 means none.
var leaving = map[string]struct {
	leave func(*websocket.Conn) error
	code  int
}{
	"a close frame": {func(ws *websocket.Conn) error {
		return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, ""), time.Now().Add(patience))
	}, 4000},
	"the end of its side": {func(ws *websocket.Conn) error {
		half, ok := ws.NetConn().(interface{ CloseWrite() error })
		if !ok {
			return errors.ErrUnsupported
		}
		return half.CloseWrite()
	}, websocket.CloseAbnormalClosure},
	"a close packet": {func(ws *websocket.Conn) error {
		return ws.WriteMessage(websocket.TextMessage, []byte("1"))
	}, websocket.CloseNoStatusReceived},
}

// TestLastRequestsAreAnswered checks that a client that sends requests and ends its
// stream at once still gets all answers.
func TestLastRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	for reader, listen := range readers {
		for end, leaves := range leaving {
			for _, endpoint := range []string{"plain", "socket.io"} {
				if end == "a close packet" && endpoint == "plain" {
					continue
				}
				t.Run(reader+" "+endpoint+" "+end, func(t *testing.T) {
					t.Parallel()
					gate := make(chan struct{})
					n := start(t, adapter.NewMesh(), socket.On("wait", func(ctx context.Context, _ *socket.Socket, i int) (int, error) {
						select {
						case <-gate:
							return i, nil
						case <-ctx.Done():
							return 0, fault.ErrUnavailable
						}
					}))
					c := open(t, n, listen, endpoint)
					want := make([]string, 20)
					for i := range want {
						ask := fmt.Sprintf(`{"id":%d,"event":"wait","data":%d}`, i, i)
						want[i] = fmt.Sprintf(`{"id":%d,"data":%d}`, i, i)
						if endpoint == "socket.io" {
							ask, want[i] = fmt.Sprintf(`42%d["wait",%d]`, i, i), fmt.Sprintf(`43%d[{"data":%d}]`, i, i)
						}
						c.write(ask)
					}
					if err := leaves.leave(c.ws); err != nil {
						t.Fatal(err)
					}
					got := make(chan string)
					failed := make(chan error, 1)
					go func() {
						for {
							m, err := c.next()
							if err != nil {
								failed <- err
								return
							}
							got <- m
						}
					}()
					select {
					case m := <-got:
						t.Fatalf("received %q before the handler had answered", m)
					case err := <-failed:
						t.Fatalf("ended before the handler had answered: %v", err)
					case <-time.After(50 * time.Millisecond):
					}
					close(gate)
					for _, answer := range want {
						select {
						case m := <-got:
							if m != answer {
								t.Fatalf("received %q, want %q", m, answer)
							}
						case err := <-failed:
							t.Fatalf("ended before %q: %v", answer, err)
						}
					}
					if err := receive(t, failed); !websocket.IsCloseError(err, leaves.code) {
						t.Errorf("ended with %v, want %d", err, leaves.code)
					}
				})
			}
		}
	}
}

// open connects to n through its own listener.
func open(t *testing.T, n *node, listen func(http.Handler) *httptest.Server, endpoint string) *client {
	t.Helper()
	server := listen(n.Gateway)
	t.Cleanup(server.Close)
	address := "ws" + strings.TrimPrefix(server.URL, "http")
	header := http.Header{"Authorization": {"Bearer alice"}}
	if endpoint == "socket.io" {
		address += "/socket.io/?EIO=4&transport=websocket"
	}
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	ws, response, err := dialer.DialContext(t.Context(), address, header)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	c := &client{t: t, ws: ws}
	if endpoint == "socket.io" {
		c.read()
		c.write("40")
		c.read()
	}
	return c
}

// TestSlowLastRequest checks that a slow handler does not keep the connection of a
// client that has left beyond the grace time.
func TestSlowLastRequest(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	n := start(t, adapter.NewMesh(), socket.On("slow", func(ctx context.Context, _ *socket.Socket, _ struct{}) (any, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	n.SetTimeouts(time.Minute, time.Minute, 50*time.Millisecond)
	c := connectPlain(t, n, "alice")
	c.write(`{"id":1,"event":"slow"}`)
	receive(t, entered)
	if err := leaving["a close frame"].leave(c.ws); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.next(); err != nil {
			if !websocket.IsCloseError(err, 4000) {
				t.Errorf("ended with %v", err)
			}
			return
		}
	}
}

// TestLeavingIsNotLogged checks that a client cannot fill the log by sending many requests and
// leaving at once. A handler that takes too long must be logged.
func TestLeavingIsNotLogged(t *testing.T) {
	t.Parallel()
	const requests = 20
	const late = "timed out"
	handled := make(chan struct{}, requests)
	n := start(t, adapter.NewMesh(), socket.On("slow", func(ctx context.Context, _ *socket.Socket, _ struct{}) (any, error) {
		<-ctx.Done()
		handled <- struct{}{}
		return nil, ctx.Err()
	}))
	n.SetTimeouts(time.Minute, 5*time.Second, 50*time.Millisecond)
	c := connectPlain(t, n, "alice")
	for range requests {
		c.write(`{"event":"slow"}`)
	}
	if err := c.ws.Close(); err != nil {
		t.Fatal(err)
	}
	receive(t, handled)
	waittest.Until(t, "the connection's end", func() bool { return n.Len() == 0 })
	if more := len(handled); more > 1 {
		t.Errorf("%d of the requests that had waited were handled after the client had left", more)
	}
	if n.logs.Count(late) > 0 {
		t.Error("requests of a client that has left were logged")
	}
	c = connectPlain(t, n, "alice")
	c.ask(`{"id":1,"event":"slow"}`, `{"id":1,"error":{"code":"unavailable","message":"this took too long; try again"}}`)
	if n.logs.Count(late) == 0 {
		t.Error("a handler that took too long was not logged")
	}
}

// TestTokenOnTwoLines sends the two subprotocols on separate header lines.
func TestTokenOnTwoLines(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	for _, lines := range [][]string{{"moim", "bearer.alice"}, {"bearer.alice", "moim"}, {"bearer.alice, moim"}} {
		c := dial(t, n, "/ws", http.Header{"Sec-Websocket-Protocol": lines})
		c.ask(`{"id":1,"event":"echo","data":{}}`, `{"id":1,"data":{"text":"","user":"alice"}}`)
		if got := c.ws.Subprotocol(); got != "moim" {
			t.Errorf("%q: the server chose %q", lines, got)
		}
	}
}
