package engine

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
)

// forever keeps melody's own heartbeat and deadlines out of the way: the
// heartbeat is ours, and so is writing.
const forever = 10 * 365 * 24 * time.Hour

// subprotocol is what a plain client offers besides its token.
const subprotocol = "moim"

// connKey and openedKey are melody session keys.
const (
	connKey   = "conn"
	openedKey = "opened"
)

// webSockets upgrades requests and reads from them, over melody.
type webSockets struct{ melody *melody.Melody }

func newWebSockets(e *Engine) *webSockets {
	m := melody.New()
	m.Config.MaxMessageSize = e.cfg.MaxFrame
	m.Config.MessageBufferSize = 0
	m.Config.PongWait = forever
	m.Config.PingPeriod = forever
	m.Upgrader.CheckOrigin = func(*http.Request) bool { return true } // checked before
	m.Upgrader.ReadBufferSize = 512
	m.Upgrader.WriteBufferSize = 512
	m.Upgrader.WriteBufferPool = new(sync.Pool)
	m.Upgrader.Subprotocols = []string{subprotocol}
	m.HandleConnect(connected)
	m.HandleMessage(func(s *melody.Session, data []byte) { conn(s).text(data) })
	m.HandleMessageBinary(func(s *melody.Session, _ []byte) { conn(s).binary() })
	m.HandlePong(func(s *melody.Session) { conn(s).beat.seen() })
	m.HandleClose(func(s *melody.Session, _ int, _ string) error {
		conn(s).farewell()
		return nil
	})
	m.HandleError(func(s *melody.Session, err error) { conn(s).failed(err) })
	m.HandleDisconnect(func(s *melody.Session) { conn(s).ended(TransportError) })
	return &webSockets{melody: m}
}

// serve upgrades the request and returns once it is upgraded, so that net/http
// lets go of what it holds for a request. Reading goes on in a goroutine that
// ends with the connection.
func (ws *webSockets) serve(w http.ResponseWriter, r *http.Request, c *Conn) {
	opened := make(chan struct{})
	refused := make(chan struct{})
	go func() {
		// w and r are touched up to HandleConnect only.
		if err := ws.melody.HandleRequestWithKeys(w, r, map[string]any{connKey: c, openedKey: opened}); err != nil {
			c.ended(TransportError)
			close(refused)
		}
	}()
	select {
	case <-opened:
	case <-refused: // the upgrader has answered
	}
}

func conn(s *melody.Session) *Conn {
	c, _ := s.MustGet(connKey).(*Conn)
	return c
}

func connected(s *melody.Session) {
	c := conn(s)
	ws := s.WebsocketConnection()
	ws.SetPingHandler(func(data string) error {
		c.enqueue(append([]byte{0x8a, byte(len(data))}, data...)) // a pong: RFC 6455, section 5.5.3
		c.beat.seen()
		return nil
	})
	s.Request = nil
	c.opened(&webSocket{net: ws.NetConn()})
	if opened, ok := s.MustGet(openedKey).(chan struct{}); ok {
		close(opened)
	}
	s.UnSet(openedKey)
}

func (c *Conn) text(data []byte) {
	switch {
	case !c.alive():
	case !utf8.Valid(data):
		c.Close(NotUTF8)
	case c.protocol == EngineIO:
		c.packet(data)
	default:
		c.beat.seen()
		c.receiver.Message(data)
	}
}

// packet takes one Engine.IO packet: its type digit, then its payload.
func (c *Conn) packet(data []byte) {
	if len(data) == 0 {
		c.Close(ParseError)
		return
	}
	switch data[0] {
	case '4':
		c.receiver.Message(data[1:])
	case '3':
		c.beat.seen()
	case '1':
		c.Close(TransportClose)
	case '2': // heartbeats come from the server
		c.Close(TransportError)
	case '0', '5', '6': // mean nothing here, and Node ignores them
	default:
		c.Close(ParseError)
	}
}

func (c *Conn) binary() {
	if c.protocol == EngineIO {
		c.Close(ParseError)
		return
	}
	c.Close(NotText)
}

// failed notes why reading ended. Closing follows.
func (c *Conn) failed(err error) {
	reason := TransportError
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		reason = TooLarge // gorilla has said goodbye
		c.transport.linger()
	case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived):
		reason = TransportClose
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == 0 {
		c.reason = reason
	}
}

// webSocket writes to a connection's socket, around gorilla's writer.
type webSocket struct{ net net.Conn }

func (w *webSocket) write(frames net.Buffers) error {
	if err := w.net.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if len(frames) == 1 {
		_, err := w.net.Write(frames[0])
		return err
	}
	_, err := frames.WriteTo(w.net)
	return err
}

func (w *webSocket) cut() { _ = w.net.Close() }

// linger lets a goodbye reach a client that is still sending: closing with
// unread bytes would reset the connection and take the goodbye with it.
func (w *webSocket) linger() {
	if half, ok := w.net.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = w.net.SetReadDeadline(time.Now().Add(closeTimeout))
		_, _ = io.Copy(io.Discard, w.net)
	}
}
