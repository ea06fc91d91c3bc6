package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
)

// counting is a receiver that counts messages.
type counting struct {
	conn     *Conn
	received int
	closed   chan int // receives the number of messages, once
}

func (r *counting) Message([]byte, bool) { r.received++ }

func (*counting) Finish(context.Context) {}

func (r *counting) Closed(Reason) {
	r.closed <- r.received
	close(r.closed) // a second call would panic
}

// TestChurn opens connections and closes them from both sides, concurrently, so
// that descriptors are reused. Each receiver gets all messages of its client and one
// Closed. No descriptor stays open.
func TestChurn(t *testing.T) { // not parallel: it counts descriptors
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage collector would also close them
	for listener, serve := range listeners {
		t.Run(listener, func(t *testing.T) {
			const clients, rounds = 32, 12
			receivers := make(chan *counting, clients)
			s := new(testServer).start(t, Config{}, func(c *Conn, _ Handshake) (Receiver, error) {
				r := &counting{conn: c, closed: make(chan int, 1)}
				receivers <- r
				return r, nil
			}, serve)
			before := descriptors(t)
			for round := range rounds {
				var all sync.WaitGroup
				for i := range clients {
					all.Go(func() { churn(t, s, receivers, rand.New(rand.NewPCG(uint64(round), uint64(i)))) })
				}
				all.Wait()
			}
			waittest.Until(t, "no connection is left", func() bool { return s.Len() == 0 })
			s.http.CloseClientConnections()
			waittest.Until(t, "no descriptor is left", func() bool { return descriptors(t) <= before+2 }) // epoll's descriptor and the poller's own
		})
	}
}

// churn connects, sends and leaves. It may get the receiver of another client, which does not
// matter.
func churn(t *testing.T, s *testServer, receivers <-chan *counting, random *rand.Rand) {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial(s.url(Plain), nil)
	r := receive(t, receivers)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF): // cut by the goroutine with this client's receiver, before it was open
		receive(t, r.closed)
		return
	case err != nil:
		t.Errorf("dial: %v", err)
		return
	}
	_ = resp.Body.Close()
	sent := random.IntN(50)
	for i := range sent {
		if err := ws.WriteMessage(websocket.TextMessage, fmt.Append(nil, i)); err != nil {
			break // closed by the goroutine with this client's receiver
		}
	}
	switch random.IntN(5) {
	case 0:
		r.conn.Close(Expired)
	case 1:
		r.conn.cut(SlowConsumer)
	case 2: // a TCP reset
		if tcp, ok := ws.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	case 3:
		_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(patience))
	}
	_ = ws.Close()
	receive(t, r.closed)
}

// TestNothingIsLostAtTheEnd checks that messages sent right before the client leaves
// are received.
func TestNothingIsLostAtTheEnd(t *testing.T) {
	t.Parallel()
	for listener, serve := range listeners {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			receivers := make(chan *counting, 1)
			s := new(testServer).start(t, Config{}, func(c *Conn, _ Handshake) (Receiver, error) {
				r := &counting{conn: c, closed: make(chan int, 1)}
				receivers <- r
				return r, nil
			}, serve)
			for round := range 20 {
				ws, resp, err := websocket.DefaultDialer.Dial(s.url(Plain), nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				sent := round * 100
				for i := range sent {
					write(t, ws, fmt.Sprint(i))
				}
				_ = ws.Close()
				if got := receive(t, receive(t, receivers).closed); got != sent {
					t.Errorf("%d of %d messages were received", got, sent)
				}
			}
		})
	}
}

// descriptors returns the number of open file descriptors.
func descriptors(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
