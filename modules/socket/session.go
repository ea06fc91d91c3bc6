package socket

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

const (
	// defaultConnectTimeout is how long a connection may be without a socket.
	defaultConnectTimeout = 45 * time.Second

	// defaultCloseGrace is how long what a client sent before its connection
	// ended may still be handled.
	defaultCloseGrace = 5 * time.Second

	// queuedMessages is how many messages of the largest size wait for a
	// slow handler before the connection is read no further, and messageCost
	// what each counts for besides its length, in bytes.
	queuedMessages = 4
	messageCost    = 256
)

// endpoint is what differs between the two ways in. Its methods run on the
// session's goroutine.
type endpoint interface {
	codec() adapter.Codec
	name() string
	// receive handles one message, which it may keep.
	receive(ctx context.Context, s *session, data []byte)
	// farewell tells the client that the server ends the socket; nil: the
	// connection's close code does.
	farewell() *engine.Frame
}

// session is one connection: it queues a few of its messages and handles them
// one after the other in a goroutine that exists only while there are any.
type session struct {
	gateway   *Gateway
	conn      *engine.Conn
	endpoint  endpoint
	handshake Handshake // for the session's goroutine only, like the next two
	malformed int       // messages in a row
	connectBy time.Time // set while there is no socket

	mu      sync.Mutex
	queue   [][]byte
	paused  bool  // the queue is full
	queued  int64 // cost of queue
	working bool
	abort   context.CancelFunc // ends the context of the message that is being handled
	late    bool               // it is to end, and those of all others
	idle    chan struct{}      // closed when all messages are handled; nil: nobody waits
	ended   bool
	reason  engine.Reason
	socket  *Socket
	timer   *time.Timer // until connectBy, then until the identity expires
}

var _ engine.Receiver = (*session)(nil)

func newSession(g *Gateway, conn *engine.Conn, d endpoint, h Handshake) *session {
	return &session{gateway: g, conn: conn, endpoint: d, handshake: h}
}

// Message implements [engine.Receiver].
func (s *session) Message(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, bytes.Clone(data))
	s.queued += int64(len(data)) + messageCost
	s.wakeLocked()
	s.paceLocked()
}

// paceLocked lets the client be read from while the queue has space.
func (s *session) paceLocked() {
	full := s.queued >= queuedMessages*s.gateway.cfg.MaxFrame
	switch {
	case full == s.paused:
	case full:
		s.conn.Pause()
	default:
		s.conn.Resume()
	}
	s.paused = full
}

// Finish implements [engine.Receiver]. It waits as long as handlers may take
// whose connection has ended.
func (s *session) Finish(ctx context.Context) {
	s.mu.Lock()
	if !s.working {
		s.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	s.idle = idle
	s.mu.Unlock()
	grace := time.NewTimer(s.gateway.closeGrace)
	defer grace.Stop()
	select {
	case <-idle:
	case <-ctx.Done():
	case <-grace.C:
		s.interrupt()
	}
}

// Closed implements [engine.Receiver].
func (s *session) Closed(reason engine.Reason) {
	s.mu.Lock()
	s.ended, s.reason = true, reason
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.working || len(s.queue) > 0 {
		s.timer = time.AfterFunc(s.gateway.closeGrace, s.interrupt)
	}
	socket := s.socket
	s.wakeLocked()
	s.mu.Unlock()
	if socket != nil {
		socket.close()
	}
}

func (s *session) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = true
	if s.abort != nil {
		s.abort()
	}
}

func (s *session) wakeLocked() {
	if s.working {
		return
	}
	if s.working = s.gateway.work.Run(s.run); !s.working { // the gateway has stopped
		s.queue, s.queued = nil, 0
	}
}

// run handles the queued messages, and the end once they are done.
func (s *session) run(ctx context.Context) {
	for {
		data, ok := s.next()
		if !ok {
			return
		}
		if socket := s.socket; socket == nil || !socket.kicked.Load() {
			s.handle(ctx, data)
		}
	}
}

// handle handles one message, with a deadline.
func (s *session) handle(ctx context.Context, data []byte) {
	ctx, cancel := context.WithTimeout(ctx, s.gateway.handlerTimeout)
	defer cancel()
	s.mu.Lock()
	s.abort = cancel
	if s.late {
		cancel()
	}
	s.mu.Unlock()
	s.endpoint.receive(ctx, s, data)
}

// next takes a message from the queue. Without one it ends the goroutine, and
// the socket when the connection has ended.
func (s *session) next() ([]byte, bool) {
	s.mu.Lock()
	if len(s.queue) > 0 {
		data := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		s.queued -= int64(len(data)) + messageCost
		s.paceLocked()
		s.mu.Unlock()
		return data, true
	}
	s.queue, s.working, s.abort = nil, false, nil
	if s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	socket, ended, reason := s.socket, s.ended, s.reason
	if ended {
		s.socket = nil
		if s.timer != nil {
			s.timer.Stop()
		}
	}
	s.mu.Unlock()
	if ended && socket != nil {
		socket.close() // Closed may not have come to it yet
		s.gateway.disconnected(socket, reason)
	}
	return nil, false
}

// connect makes the session's socket, or returns why it may not be. welcome
// builds what the client is told first, or returns nil; refuse tells it the
// opposite.
func (s *session) connect(ctx context.Context, identity auth.Identity,
	welcome func(*Socket) *engine.Frame, refuse func(*fault.Error),
) (failure *fault.Error) {
	g := s.gateway
	socket := newSocket(identity, s.endpoint, s.conn, g.deps.Hub, g.own)
	if !s.adopt(socket) || !socket.enter() {
		s.drop(socket)
		return nil
	}
	g.metrics.connect(s.endpoint.name())
	g.within(ctx, func(ctx context.Context) { failure = g.connected(ctx, socket) }, func() {
		if failure == nil {
			if socket.open(welcome(socket)) {
				s.expireAt(socket, identity.Expires)
			}
			return
		}
		g.metrics.refuse(failure)
		s.drop(socket)
		if socket.close() {
			refuse(failure)
		}
	})
	if failure != nil {
		g.disconnected(socket, engine.Refused)
	}
	return failure
}

// adopt makes socket the session's, unless the connection has ended.
func (s *session) adopt(socket *Socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.socket = socket
	return true
}

// drop ends the session's tie to socket; the connection may make another.
func (s *session) drop(socket *Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket == socket {
		s.socket = nil
	}
}

// connectSoon gives the client a while to make a socket.
func (s *session) connectSoon() {
	s.connectBy = time.Now().Add(s.gateway.connectTimeout)
	s.expectSocket()
}

// expectSocket closes the connection when it has no socket at s.connectBy.
func (s *session) expectSocket() {
	s.arm(time.Until(s.connectBy), func() {
		s.mu.Lock()
		idle := s.socket == nil
		s.mu.Unlock()
		if idle {
			s.conn.Close(engine.ConnectTimeout)
		}
	})
}

// expireAt ends socket when its identity does.
func (s *session) expireAt(socket *Socket, at time.Time) {
	if at.IsZero() {
		s.arm(0, nil)
		return
	}
	s.arm(time.Until(at), func() { socket.Disconnect(engine.Expired) })
}

// arm replaces the session's timer; without fn there is none.
func (s *session) arm(after time.Duration, fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if fn != nil {
		s.timer = time.AfterFunc(after, fn)
	}
}
