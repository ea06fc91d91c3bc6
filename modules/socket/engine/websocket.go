package engine

import (
	"bufio"
	"context"
	"errors"
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
	// forever keeps melody's own heartbeat and read deadline out of the way.
	forever = 10 * 365 * 24 * time.Hour
	// subprotocol is what a plain client offers besides its token.
	subprotocol = "moim"
	// readBuffer and writeBuffer are gorilla's, in bytes. Each connection that
	// melody reads from has one for reading; those for writing are shared.
	readBuffer, writeBuffer = 512, 4 << 10
)

// webSockets upgrades requests with melody, which also reads from the
// connections that the poller cannot.
type webSockets struct {
	melody *melody.Melody
	work   *tasks.Group
}

func newWebSockets(e *Engine) *webSockets {
	ws := &webSockets{melody: melody.New(), work: tasks.New()}
	m := ws.melody
	m.Config.MaxMessageSize = e.cfg.MaxFrame
	m.Config.MessageBufferSize = 0 // the engine writes: nothing is queued
	m.Config.PongWait = forever
	m.Config.PingPeriod = forever
	m.Upgrader.CheckOrigin = func(*http.Request) bool { return true } // checked before
	m.Upgrader.HandshakeTimeout = closeTimeout                        // a new connection has room for the answer
	m.Upgrader.ReadBufferSize = readBuffer
	m.Upgrader.WriteBufferSize = writeBuffer
	m.Upgrader.WriteBufferPool = new(sync.Pool)
	m.Upgrader.Subprotocols = []string{subprotocol}
	m.HandleConnect(connected)
	m.HandleMessage(func(s *melody.Session, data []byte) { watchedOf(s).message(opText, data) })
	m.HandleMessageBinary(func(s *melody.Session, data []byte) { watchedOf(s).message(opBinary, data) })
	m.HandlePong(func(s *melody.Session) { watchedOf(s).conn.webSocketSeen() })
	m.HandleClose(func(s *melody.Session, code int, _ string) error {
		w := watchedOf(s)
		if w.stub {
			return errCloseFrame
		}
		w.conn.leave(code)
		return nil
	})
	m.HandleError(func(s *melody.Session, err error) { // the pump for reading has ended: melody closes next
		c := watchedOf(s).conn
		c.failed(err)
		c.ended()
	})
	return ws
}

// serve upgrades a valid handshake and returns once that is done, so that
// net/http lets go of what it holds for a request.
func (ws *webSockets) serve(w http.ResponseWriter, r *http.Request, c *Conn) {
	taken := false
	defer func() {
		if !taken { // also where a wrapped ResponseWriter panics because it cannot be hijacked
			c.ended()
		}
	}()
	conn, buffers, err := http.NewResponseController(w).Hijack()
	if err != nil {
		c.engine.log.Error("engine: a connection could not be taken over from the HTTP server", "err", err)
		http.Error(w, "this server cannot open WebSockets", http.StatusInternalServerError)
		return
	}
	joinSubprotocols(r.Header)
	if t := c.engine.poller.adopt(c, conn); t != nil {
		_, err = ws.melody.Upgrader.Upgrade(hijacked{w, conn, buffers}, r, w.Header())
		if taken = err == nil; taken {
			c.opened(t)
		}
	} else {
		taken = ws.pump(w, r, c, conn, buffers)
	}
	if !taken {
		_ = conn.Close() // nothing can be answered any more
	}
}

// pump leaves reading to melody, in a goroutine of the engine's that ends with
// the connection. It reports whether the connection was upgraded.
func (ws *webSockets) pump(w http.ResponseWriter, r *http.Request, c *Conn, conn net.Conn, buffers *bufio.ReadWriter) bool {
	in := &watched{corked: corked{Conn: conn}, conn: c, upgraded: make(chan bool, 1)}
	started := ws.work.Run(func(context.Context) {
		if err := ws.melody.HandleRequest(hijacked{w, in, buffers}, r); err != nil {
			in.upgraded <- false
		}
	})
	return started && <-in.upgraded
}

// connected runs before melody's pumps. That for writing has nothing to do: it
// waits for the end of the other.
func connected(s *melody.Session) {
	in := watchedOf(s)
	s.Request = nil // a connection may last for days
	frames := s.WebsocketConnection()
	frames.SetPingHandler(func(data string) error {
		in.conn.pinged([]byte(data))
		return nil
	})
	in.pump = &pumped{webSocket: webSocket{in.Conn}, engine: in.conn.engine, watched: in, frames: frames}
	in.conn.opened(in.pump)
	in.upgraded <- true
}

func watchedOf(s *melody.Session) *watched {
	w, _ := s.WebsocketConnection().NetConn().(*watched)
	return w
}

// message takes a message from melody's pump, which goes on when it returns.
func (w *watched) message(kind opcode, data []byte) {
	if end := w.conn.message(kind, data); end.reason != 0 {
		w.conn.leave(end.code)
		w.conn.cut(end.reason)
	}
	w.pump.pass()
}

// errCloseFrame is a close frame with half a code.
var errCloseFrame = errors.New("engine: a close frame of one byte")

// failed notes why melody's pump ended.
func (c *Conn) failed(err error) {
	var network net.Error
	var closed *websocket.CloseError // also for an end without a goodbye
	switch {
	case errors.As(err, &closed):
		c.leave(0)
		c.abandon(TransportClose, false)
	case errors.Is(err, websocket.ErrReadLimit):
		c.abandon(TooLarge, true)
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.abandon(TransportError, false)
	default:
		c.abandon(ParseError, true)
	}
}
