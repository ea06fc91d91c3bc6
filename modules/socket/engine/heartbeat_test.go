package engine

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/proxytest"
)

func TestEngineIOHeartbeat(t *testing.T) {
	t.Parallel()
	ws, r := start(t, Config{PingInterval: 20 * time.Millisecond, PingTimeout: patience}).dial(t, EngineIO)
	for range 3 {
		if got := read(t, ws); got != "2" {
			t.Fatalf("got %q instead of a heartbeat", got)
		}
		write(t, ws, "3")
	}
	write(t, ws, "3") // a pong without a ping
	write(t, ws, "4still there")
	if got := receive(t, r.messages); got != "still there" {
		t.Errorf("received %q", got)
	}
}

func TestPlainHeartbeat(t *testing.T) {
	t.Parallel()
	ws, _ := start(t, Config{PingInterval: 20 * time.Millisecond, PingTimeout: patience}).dial(t, Plain)
	pings := make(chan struct{}, 1)
	answer := ws.PingHandler()
	ws.SetPingHandler(func(data string) error {
		pings <- struct{}{}
		return answer(data)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = ws.ReadMessage()
	}()
	for range 3 {
		receive(t, pings)
	}
	_ = ws.Close()
	for ended := false; !ended; {
		select {
		case <-pings:
		case <-done:
			ended = true
		}
	}
}

// TestClientPing sends pings of the WebSocket protocol, which any client may send.
func TestClientPing(t *testing.T) {
	t.Parallel()
	for name, p := range endpoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws, r := start(t, Config{}).dial(t, p)
			pongs := make(chan string, 1)
			ws.SetPongHandler(func(data string) error {
				pongs <- data
				return nil
			})
			if err := ws.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			write(t, ws, "4x")
			receive(t, r.messages) // after this, the pong is queued
			r.conn.Send(p.Frame([]byte("after")))
			read(t, ws)
			if got := receive(t, pongs); got != "hello" {
				t.Errorf("the pong says %q", got)
			}
		})
	}
}

func TestSilentClientIsClosed(t *testing.T) {
	t.Parallel()
	cfg := Config{PingInterval: 20 * time.Millisecond, PingTimeout: 100 * time.Millisecond}
	for name, test := range map[string]struct {
		protocol Protocol
		talk     func(ws *websocket.Conn) error // nil: reads nothing, and so answers no ping
	}{
		"plain":     {Plain, nil},
		"Engine.IO": {EngineIO, nil},
		"messages are no answer": {EngineIO, func(ws *websocket.Conn) error {
			return ws.WriteMessage(websocket.TextMessage, []byte("4x"))
		}},
		"WebSocket's pong is no answer": {EngineIO, func(ws *websocket.Conn) error {
			return ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws, r := start(t, cfg).dial(t, test.protocol)
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case reason := <-r.closed:
					if reason != PingTimeout {
						t.Errorf("closed for %q", reason)
					}
					return
				case <-r.messages:
				case <-ticker.C:
					if test.talk != nil {
						_ = test.talk(ws) // returns an error when the connection is closed
					}
				}
			}
		})
	}
}

// TestDataAnswersTheHeartbeat sends messages instead of pongs. The connection must stay open.
func TestDataAnswersTheHeartbeat(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second
	ws, r := start(t, Config{PingInterval: 10 * time.Millisecond, PingTimeout: timeout}).dial(t, Plain)
	ticker := time.NewTicker(timeout / 10)
	defer ticker.Stop()
	for begin := time.Now(); time.Since(begin) < timeout+timeout/2; {
		select {
		case reason := <-r.closed:
			t.Fatalf("closed for %q", reason)
		case <-r.messages:
		case <-ticker.C:
			write(t, ws, "x")
		}
	}
}

// TestT31HalfOpen freezes the network. The engine must close the connection.
func TestT31HalfOpen(t *testing.T) {
	t.Parallel()
	for name, p := range endpoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{PingInterval: 50 * time.Millisecond, PingTimeout: 100 * time.Millisecond})
			proxy := proxytest.Start(t, s.addr())
			_, r := s.dialAt(t, proxy.Addr(), p)
			proxy.Freeze()
			r.wantClosed(t, PingTimeout)
			proxy.Cut()
		})
	}
}

// TestShortLife checks that a connection that ends at once stops its heartbeat timer. The timer
// would keep its memory.
func TestShortLife(t *testing.T) {
	t.Parallel()
	c, _ := listening(t, Config{})
	c.opened(&recordingTransport{held: c.heartbeat.stop}) // what the end does first, on another goroutine
	if c.heartbeat.timer != nil {
		t.Error("the heartbeat of a connection that has ended goes on")
	}
}

// TestPauseAndResume pauses and resumes concurrently. The heartbeat and the reader must agree on
// the last call. Otherwise a dead client would not be detected.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	c, _ := listening(t, Config{})
	for range 50_000 {
		var both sync.WaitGroup
		both.Go(func() { c.Pause(true) })
		both.Go(func() { c.Pause(false) })
		both.Wait()
		if c.paused != c.heartbeat.paused {
			t.Fatalf("paused: %v, the heartbeat: %v", c.paused, c.heartbeat.paused)
		}
	}
}

// fullReceiver pauses its connection with the first message.
type fullReceiver struct {
	conn    *Conn
	entered chan struct{}
	closed  chan Reason // with a buffer of one
}

func (r *fullReceiver) Message([]byte, bool) {
	r.conn.Pause(true)
	close(r.entered)
}

func (*fullReceiver) Finish(context.Context) {}

func (r *fullReceiver) Closed(reason Reason) { r.closed <- reason }

// TestPausedIsNotDead pauses a connection for longer than the ping timeout, so the client's pong
// is not read. The connection must stay open.
func TestPausedIsNotDead(t *testing.T) {
	t.Parallel()
	r := &fullReceiver{entered: make(chan struct{}), closed: make(chan Reason, 1)}
	cfg := Config{PingInterval: 50 * time.Millisecond, PingTimeout: 5 * time.Second} // long enough for a busy machine
	s := new(testServer).start(t, cfg, func(c *Conn, _ Handshake) (Receiver, error) {
		r.conn = c
		return r, nil
	}, httptest.NewServer)
	ws, resp, err := websocket.DefaultDialer.Dial(s.url(EngineIO), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer func() { _ = ws.Close() }()
	read(t, ws)
	write(t, ws, "4x")
	receive(t, r.entered)
	if got := read(t, ws); got != "2" {
		t.Fatalf("got %q", got)
	}
	write(t, ws, "3")
	<-time.After(2 * cfg.PingTimeout)
	if !r.conn.isOpen() {
		t.Error("closed while the receiver was busy")
	}
	r.conn.Pause(false)
	if got := read(t, ws); got != "2" { // the next ping: the answer to the last one was read
		t.Errorf("got %q", got)
	}
}
