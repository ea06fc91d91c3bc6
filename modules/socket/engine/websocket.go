package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// disabled switches off melody's own heartbeat and read deadline.
	disabled = 10 * 365 * 24 * time.Hour
	// subprotocol is the protocol that plain clients offer, in addition to one that carries
	// their token.
	subprotocol = "moim"
	// readBuffer is the size of gorilla's read buffer in bytes. Each connection that melody
	// reads from has one.
	readBuffer = 512
)

// upgrader upgrades requests to WebSockets. Melody reads from the connections that the
// poller cannot read from.
type upgrader struct {
	melody  *melody.Melody
	readers *tasks.Group
}

func newUpgrader(maxFrame int64) *upgrader {
	m := melody.New()
	m.Config.MaxMessageSize = maxFrame
	m.Config.MessageBufferSize = 0 // melody writes nothing
	m.Config.PongWait = disabled
	m.Config.PingPeriod = disabled
	m.Upgrader.CheckOrigin = func(*http.Request) bool { return true } // the engine has checked it
	m.Upgrader.HandshakeTimeout = closeTimeout
	m.Upgrader.ReadBufferSize = readBuffer
	m.Upgrader.WriteBufferPool = new(sync.Pool)
	m.Upgrader.Subprotocols = []string{subprotocol}
	m.HandleConnect(connected)
	m.HandleMessage(func(s *melody.Session, data []byte) { connOf(s).message(opText, data) })
	m.HandleMessageBinary(func(s *melody.Session, data []byte) { connOf(s).message(opBinary, data) })
	m.HandlePong(func(s *melody.Session) { connOf(s).conn.webSocketPonged() })
	m.HandleClose(func(s *melody.Session, code int, _ string) error {
		m := connOf(s)
		if m.shortClose {
			return errors.New("engine: a close frame has one byte")
		}
		m.conn.peerClosed(code)
		return nil
	})
	m.HandleError(func(s *melody.Session, err error) { // melody stops reading and closes next
		c := connOf(s).conn
		c.melodyFailed(err)
		c.release()
	})
	return &upgrader{melody: m, readers: tasks.New()}
}

// serve upgrades a request whose handshake is valid. It returns right after the
// upgrade, so that net/http frees the request.
func (u *upgrader) serve(w http.ResponseWriter, r *http.Request, c *Conn) {
	upgraded := false
	defer func() {
		if !upgraded {
			c.release()
		}
	}()
	conn, buffers, err := hijack(w)
	if err != nil {
		c.engine.log.Error("engine: a handler around Moim hides the connection, as http.TimeoutHandler does: no WebSocket can be opened. Mount Moim outside it, or give its ResponseWriter an Unwrap method", "err", err)
		http.Error(w, "this server cannot open WebSockets: a handler around Moim, such as http.TimeoutHandler, hides the connection", http.StatusInternalServerError)
		return
	}
	joinSubprotocols(r.Header)
	if t := c.engine.poller.transport(c, conn); t != nil {
		_, err = u.melody.Upgrader.Upgrade(hijacked{w, conn, buffers}, r, w.Header())
		if upgraded = err == nil; upgraded {
			c.opened(t)
		}
	} else {
		upgraded = u.startMelody(w, r, c, conn, buffers)
	}
	if !upgraded {
		_ = conn.Close() // too late for an HTTP response
	}
}

// hijack takes over the connection. gin's ResponseWriter panics if the wrapped one does not
// support this.
func hijack(w http.ResponseWriter) (conn net.Conn, buffers *bufio.ReadWriter, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", http.ErrNotSupported, v)
		}
	}()
	return http.NewResponseController(w).Hijack()
}

// startMelody lets melody upgrade the connection and read from it in a goroutine. It
// reports whether the upgrade succeeded.
func (u *upgrader) startMelody(w http.ResponseWriter, r *http.Request, c *Conn, conn net.Conn, buffers *bufio.ReadWriter) bool {
	m := &melodyConn{netConn: netConn{conn}, conn: c, upgraded: make(chan bool, 1)}
	started := u.readers.Run(func(context.Context) {
		if err := u.melody.HandleRequest(hijacked{w, m, buffers}, r); err != nil {
			m.upgraded <- false
		}
	})
	return started && <-m.upgraded
}

// hijacked passes a connection that the engine has hijacked to gorilla.
type hijacked struct {
	http.ResponseWriter
	conn    net.Conn
	buffers *bufio.ReadWriter
}

// Hijack implements [http.Hijacker].
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.buffers, nil }

// connected runs after the upgrade, before melody reads.
func connected(s *melody.Session) {
	m := connOf(s)
	s.Request = nil // free it: a connection may last for days
	s.WebsocketConnection().SetPingHandler(func(data string) error {
		m.conn.pinged([]byte(data))
		return nil
	})
	m.open = true
	m.conn.opened(m)
	m.upgraded <- true
}

func connOf(s *melody.Session) *melodyConn {
	m, _ := s.WebsocketConnection().NetConn().(*melodyConn)
	return m
}

// message handles one message. Melody continues to read when it returns.
func (m *melodyConn) message(kind opcode, data []byte) {
	if m.conn.session != nil {
		m.conn.finishWriting()
	}
	if end := m.conn.message(kind, data); end.reason != 0 {
		m.conn.peerClosed(end.closeCode)
		m.conn.cut(end.reason)
	}
	m.waitResumed()
}

// melodyFailed handles the error because of which melody stopped reading.
func (c *Conn) melodyFailed(err error) {
	var network net.Error
	var closed *websocket.CloseError // gorilla returns it at EOF too
	switch {
	case errors.As(err, &closed):
		c.peerClosed(0)
		c.stopReading(TransportClose, false)
	case errors.Is(err, websocket.ErrReadLimit):
		c.stopReading(TooLarge, true)
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.stopReading(TransportError, false)
	default:
		c.stopReading(ParseError, true)
	}
}
