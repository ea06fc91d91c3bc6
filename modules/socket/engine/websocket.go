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
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// forever keeps melody's own heartbeat and read deadline out of the way.
	forever = 10 * 365 * 24 * time.Hour
	// subprotocol is what a plain client offers besides its token.
	subprotocol = "moim"
	// readBuffer and writeBuffer are gorilla's, in bytes: one of each while it
	// upgrades a connection or melody reads from it.
	readBuffer, writeBuffer = 512, 512
)

// webSockets upgrades requests, and reads from the connections that the poller
// does not, over melody.
type webSockets struct {
	melody  *melody.Melody
	work    *tasks.Group
	buffers sync.Pool // of *bufio.ReadWriter
}

func newWebSockets(e *Engine) *webSockets {
	ws := &webSockets{melody: melody.New(), work: tasks.New()}
	ws.buffers.New = func() any {
		return bufio.NewReadWriter(bufio.NewReaderSize(nil, readBuffer), bufio.NewWriterSize(nil, writeBuffer))
	}
	m := ws.melody
	m.Config.MaxMessageSize = e.cfg.MaxFrame
	m.Config.MessageBufferSize = 1 // its pump's only message: that it ends
	m.Config.PongWait = forever
	m.Config.PingPeriod = forever
	m.Upgrader.CheckOrigin = func(*http.Request) bool { return true } // checked before
	m.Upgrader.ReadBufferSize = 0                                     // the reader that comes with the connection serves
	m.Upgrader.WriteBufferSize = writeBuffer
	m.Upgrader.WriteBufferPool = new(sync.Pool)
	m.Upgrader.Subprotocols = []string{subprotocol}
	m.HandleConnect(ws.connected)
	m.HandleMessage(func(s *melody.Session, data []byte) {
		w := wireOf(s)
		w.conn.text(data)
		w.pumped.pass()
	})
	m.HandleMessageBinary(func(s *melody.Session, _ []byte) { wireOf(s).conn.binary() })
	m.HandlePong(func(s *melody.Session) { wireOf(s).conn.webSocketSeen() })
	m.HandleClose(func(s *melody.Session, code int, _ string) error {
		wireOf(s).conn.closedByClient(code)
		return nil
	})
	m.HandleError(func(s *melody.Session, err error) {
		// The pump for writing, too, says so when it finds its end before it has ended.
		writing := errors.Is(err, websocket.ErrCloseSent) || errors.Is(err, melody.ErrWriteClosed)
		if w := wireOf(s); w.pumped != nil && !writing {
			w.conn.failed(err)
		}
	})
	m.HandleDisconnect(func(s *melody.Session) {
		if w := wireOf(s); w.pumped != nil {
			w.conn.ended()
		}
	})
	return ws
}

// serve upgrades the request and returns once it is upgraded, so that net/http
// lets go of what it holds for a request. Where melody reads, it goes on to in a
// goroutine that ends with the connection: the engine's.
func (ws *webSockets) serve(w http.ResponseWriter, r *http.Request, c *Conn) {
	upgraded := make(chan struct{})
	c.upgraded = upgraded
	if !ws.work.Run(func(context.Context) { ws.run(w, r, c) }) {
		c.engine.unavailable(w)
		ws.refused(c)
	}
	<-upgraded
}

// run touches w and r until HandleConnect only.
func (ws *webSockets) run(w http.ResponseWriter, r *http.Request, c *Conn) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if c.upgraded == nil {
			panic(v)
		}
		// A wrapped ResponseWriter may panic rather than be hijacked.
		c.engine.log.Error("engine: the upgrade panicked", "err", fmt.Sprint(v))
		w.WriteHeader(http.StatusInternalServerError)
		ws.refused(c)
	}()
	buffers, _ := ws.buffers.Get().(*bufio.ReadWriter)
	if err := ws.melody.HandleRequest(hijacker{w, c, buffers}, r); err != nil {
		ws.refused(c) // gorilla has answered
	}
	buffers.Reader.Reset(nil)
	buffers.Writer.Reset(nil)
	ws.buffers.Put(buffers)
}

// refused ends a connection that was not upgraded.
func (ws *webSockets) refused(c *Conn) {
	c.ended()
	close(c.upgraded)
}

// connected takes the connection over: for writing always, for reading where
// the poller can. melody's pumps, which would keep a goroutine each for every
// connection, end: that for reading finds the end of what it would pump, and
// with it goes the other one, which is told to where melody reads.
func (ws *webSockets) connected(s *melody.Session) {
	wire := wireOf(s)
	c := wire.conn
	wire.taken = true
	s.Request = nil // a connection may last for days
	t := c.engine.poller.adopt(c, wire.Conn)
	if t == nil {
		_ = s.Close()
		s.WebsocketConnection().SetPingHandler(func(data string) error {
			c.pinged([]byte(data))
			return nil
		})
		wire.pumped = newPumped(wire.Conn)
		t = wire.pumped
	}
	c.opened(t, wire.answer)
	wire.answer = nil
	close(c.upgraded)
	c.upgraded = nil
}

func wireOf(s *melody.Session) *wire {
	w, _ := s.WebsocketConnection().NetConn().(*wire)
	return w
}

// text takes a text message.
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

// pinged answers a WebSocket's own heartbeat.
func (c *Conn) pinged(payload []byte) {
	c.forgetPong()
	c.Send(controlFrame(opPong, payload))
	c.webSocketSeen()
}

// webSocketSeen takes a sign of life that is WebSocket's own: Engine.IO has
// another heartbeat.
func (c *Conn) webSocketSeen() {
	if c.protocol == Plain {
		c.beat.seen()
	}
}

// failed notes why reading ended. HandleDisconnect follows.
func (c *Conn) failed(err error) {
	var network net.Error
	var closed *websocket.CloseError // also for an end without a goodbye
	switch {
	case errors.As(err, &closed):
		c.abandon(TransportClose, false)
	case errors.Is(err, websocket.ErrReadLimit):
		c.abandon(TooLarge, true)
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.abandon(TransportError, false)
	default:
		c.abandon(ParseError, true)
	}
}

// webSocket is a connection's socket.
type webSocket struct{ net net.Conn }

func (w *webSocket) write(data []byte, deadline time.Time) error {
	if err := w.net.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if _, err := w.net.Write(data); err != nil {
		return err
	}
	return w.net.SetWriteDeadline(time.Time{})
}

// close closes what is below TLS, whose own goodbye could block.
func (w *webSocket) close() {
	conn := w.net
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}

// linger lets a goodbye reach a client that is still sending: closing with
// unread bytes would reset the connection and take the goodbye with it.
func (w *webSocket) linger(timeout time.Duration) {
	if half, ok := w.net.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = w.net.SetReadDeadline(time.Now().Add(timeout))
		_, _ = io.Copy(io.Discard, w.net)
	}
}

// pumped is a connection that melody's pump reads from. Closing it ends the
// pump.
type pumped struct {
	webSocket
	direct
	mu   sync.Mutex
	held chan struct{} // closed when the pump may go on; nil: it may
}

var _ transport = (*pumped)(nil)

func newPumped(conn net.Conn) *pumped {
	p := &pumped{webSocket: webSocket{conn}}
	p.bind(conn)
	return p
}

// cut implements transport. A pump that is held would not notice.
func (p *pumped) cut() {
	p.close()
	p.hold(false)
}

func (p *pumped) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.held == nil:
		p.held = make(chan struct{})
	case !on && p.held != nil:
		close(p.held)
		p.held = nil
	}
}

// pass returns when the pump may go on.
func (p *pumped) pass() {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held != nil {
		<-held
	}
}
