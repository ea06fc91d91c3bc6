package socket

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/recovery"
)

const (
	// defaultCloseGrace is how long handlers may run after the connection has ended.
	defaultCloseGrace = 5 * time.Second

	// queuedMessages sets the size of a session's queue: with this many messages of the
	// maximum size, the connection pauses.
	queuedMessages = 4
	// messageCost is added to a message's size in the queue.
	messageCost = 256
)

// endpoint is the part of a session that depends on its protocol. Sessions call it
// from their own goroutine.
type endpoint interface {
	name() string // for metrics
	// codec returns the encoding of events for the sockets of a namespace.
	codec(n *namespace) adapter.Codec
	// receive handles one message. It may keep the message.
	receive(ctx context.Context, s *session, in inbound)
	// welcome returns the first frame for a connected socket, or nil.
	welcome(s *Socket) *engine.Frame
	// refuse answers a client whose socket was refused.
	refuse(s *session, n *namespace, failure *fault.Error)
	// farewell returns the frame that announces a disconnection by the server, or nil if
	// the close code does so.
	farewell(n *namespace) *engine.Frame
}

// session is one connection. It queues messages and handles them in order, in a goroutine
// that runs only while there are messages.
type session struct {
	gateway  *Gateway
	conn     *engine.Conn
	endpoint endpoint

	// Used by the session's goroutine only.
	handshake *Handshake
	allowance allowance // see allowance for fields that other goroutines use
	malformed int       // malformed messages in a row
	connectBy time.Time // deadline for the first socket

	mu        sync.Mutex
	partial   *inbound // a message whose binary messages have not all arrived
	missing   int      // number of these binary messages
	queue     []inbound
	paused    bool               // reading is paused: the queue is full or the client is throttled
	throttled bool               // a request was refused a moment ago
	met       bool               // the client has had a socket
	queued    int64              // cost of the queued messages, in bytes
	running   bool               // the goroutine is running
	cancel    context.CancelFunc // of the current handler's context
	aborted   bool               // cancel all later handlers, too
	idle      chan struct{}      // closed when the queue is empty; nil if nobody waits
	ended     bool
	reason    engine.Reason
	sockets   []*Socket   // one for each namespace that the client is connected to
	left      []*Socket   // sockets that the server has disconnected
	dismissed []string    // namespaces of these sockets
	timer     *time.Timer // first for connectBy, then for closeGrace
}

var _ engine.Receiver = (*session)(nil)

// findLocked returns the socket in a namespace, or nil.
func (s *session) findLocked(namespace string) *Socket {
	for _, socket := range s.sockets {
		if socket.namespace.name == namespace {
			return socket
		}
	}
	return nil
}

// find returns the socket in a namespace, or nil.
func (s *session) find(namespace string) *Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findLocked(namespace)
}

// updatePauseLocked pauses the connection while the queue is full or the client is throttled.
func (s *session) updatePauseLocked() {
	full := s.queued >= queuedMessages*s.gateway.cfg.MaxFrame || len(s.queue) >= queuedRequests || s.throttled
	if full != s.paused {
		s.paused = full
		s.conn.Pause(full)
	}
}

// Finish implements [engine.Receiver]. Handlers get closeGrace to finish.
func (s *session) Finish(ctx context.Context) {
	s.mu.Lock()
	if !s.running {
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
		s.abort()
	}
}

// Closed implements [engine.Receiver]. Queued messages are dropped: nobody would read the
// answers, and otherwise a client could leave more work behind than its limits allow.
func (s *session) Closed(reason engine.Reason) {
	s.allowance.settle()
	s.mu.Lock()
	s.ended, s.reason = true, reason
	s.queue, s.queued = nil, 0
	s.setTimerLocked(nil)
	if s.running {
		s.setTimerLocked(time.AfterFunc(s.gateway.closeGrace, s.abort))
	}
	sockets := slices.Clone(s.sockets)
	s.startLocked()
	s.mu.Unlock()
	for _, socket := range sockets {
		socket.close(reason)
	}
}

// abort cancels the current handler and drops the queued messages.
func (s *session) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted = true
	s.queue, s.queued = nil, 0
	if s.cancel != nil {
		s.cancel()
	}
}

// startLocked starts the session's goroutine unless it is running.
func (s *session) startLocked() {
	if s.running {
		return
	}
	if s.running = s.gateway.work.Run(s.run); !s.running { // the gateway has stopped
		s.queue, s.queued = nil, 0
	}
}

// run handles the queued messages, and then ends sockets.
func (s *session) run(ctx context.Context) {
	for {
		in, ok := s.next()
		if !ok {
			return
		}
		s.handle(ctx, in)
	}
}

// handle handles one message, with an id and a deadline.
func (s *session) handle(ctx context.Context, in inbound) {
	ctx, cancel := context.WithTimeout(requestid.With(ctx, requestid.New()), s.gateway.handlerTimeout)
	defer cancel()
	s.mu.Lock()
	s.cancel = cancel
	if s.aborted {
		cancel()
	}
	s.mu.Unlock()
	s.endpoint.receive(ctx, s, in)
}

// next takes a message from the queue. First, it ends the sockets that the server has
// disconnected. If the queue is empty, it returns false; if the connection has ended, it
// also ends the remaining sockets.
func (s *session) next() (in inbound, ok bool) {
	for {
		s.mu.Lock()
		if len(s.left) == 0 {
			break
		}
		socket := s.left[0]
		s.left = s.left[1:]
		s.mu.Unlock()
		s.gateway.disconnected(socket, engine.ServerDisconnect)
	}
	if len(s.queue) > 0 {
		in = s.queue[0]
		s.queue[0] = inbound{}
		s.queue = s.queue[1:]
		s.queued -= in.cost()
		s.updatePauseLocked()
		s.mu.Unlock()
		return in, true
	}
	s.queue, s.running, s.cancel = nil, false, nil
	if s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	var sockets []*Socket
	reason, ended := s.reason, s.ended
	if ended {
		sockets, s.sockets = s.sockets, nil
		s.setTimerLocked(nil)
	}
	s.mu.Unlock()
	for _, socket := range sockets {
		socket.close(reason) // Closed may not have closed it yet
		s.gateway.disconnected(socket, reason)
	}
	if ended {
		s.uncount()
	}
	return in, false
}

// connect creates a socket and runs the OnConnect handlers. If the client comes back, the
// socket gets the state of the client's parked one. If the socket is refused, connect
// returns the failure.
func (s *session) connect(ctx context.Context, n *namespace, identity auth.Identity, h *Handshake, from *recovery.Returning) *fault.Error {
	g := s.gateway
	socket := &Socket{id: engine.NewID(), session: s, namespace: n, address: host(h.RemoteAddr), since: time.Now()}
	socket.identity.Store(&identity)
	socket.makeRecoverable(from)
	if g.keepHandshakes {
		socket.handshake = h
	}
	if !s.addSocket(socket) || !socket.joinOwnRooms() {
		s.removeSocket(socket)
		return nil
	}
	if from != nil && !socket.resume(ctx, from) {
		known := s.removeSocket(socket)
		socket.abandon()
		if known {
			return s.connect(ctx, n, identity, h, nil) // as a new client
		}
		g.metrics.connect(s.endpoint.name()) // the server has disconnected it; next ends it
		return nil
	}
	g.metrics.connect(s.endpoint.name())
	if from != nil {
		g.metrics.recovered.Inc()
	}
	ctx, c := beginCall(ctx)
	failure := g.checkRevoked(identity)
	if failure == nil {
		failure = g.connected(ctx, socket)
	}
	if failure == nil {
		socket.open(s.endpoint.welcome(socket))
		g.finishCall(ctx, c)
		return nil
	}
	g.metrics.refuse(failure)
	removed := s.removeSocket(socket) // if false, the server has disconnected it, and next ends it
	if socket.close(engine.Refused) {
		s.endpoint.refuse(s, n, failure)
	}
	g.finishCall(ctx, c)
	if removed {
		g.disconnected(socket, engine.Refused)
	}
	return failure
}

// host returns the address without the port.
func host(address string) string {
	if name, _, err := net.SplitHostPort(address); err == nil {
		return name
	}
	return address
}

// wasDismissed reports whether the server has disconnected a socket in a namespace.
func (s *session) wasDismissed(namespace string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.dismissed, namespace)
}

// addSocket adds a socket. It returns false if the connection has ended.
func (s *session) addSocket(socket *Socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.sockets, s.met = append(s.sockets, socket), true
	return true
}

// removeSocket removes a socket, so that the client can connect to its namespace again. It
// returns false if the socket was removed before.
func (s *session) removeSocket(socket *Socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removeSocketLocked(socket)
}

func (s *session) removeSocketLocked(socket *Socket) bool {
	i := slices.Index(s.sockets, socket)
	if i < 0 {
		return false
	}
	s.sockets = slices.Delete(s.sockets, i, i+1)
	return true
}

// disconnectAll closes the connection and all its sockets. Queued messages are dropped.
func (s *session) disconnectAll(reason engine.Reason) {
	s.mu.Lock()
	sockets := slices.Clone(s.sockets)
	s.mu.Unlock()
	for _, socket := range sockets {
		socket.disconnected.Store(true)
		if last := s.endpoint.farewell(socket.namespace); socket.close(reason) && last != nil {
			s.conn.Send(last)
		}
	}
	s.conn.Close(reason)
}

// disconnect removes a socket that the server has disconnected. Its OnDisconnect handlers
// run after the current message.
func (s *session) disconnect(socket *Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removeSocketLocked(socket) {
		s.left, s.dismissed = append(s.left, socket), append(s.dismissed, socket.namespace.name)
		s.startLocked()
	}
}

// startConnectTimeout closes the connection if it has no socket in time.
func (s *session) startConnectTimeout() {
	s.connectBy = time.Now().Add(s.gateway.cfg.ConnectTimeout)
	s.awaitSocket()
}

// awaitSocket closes the connection if it has no socket at connectBy.
func (s *session) awaitSocket() {
	s.setTimer(s.connectBy, func() {
		s.mu.Lock()
		connected := len(s.sockets) > 0
		s.mu.Unlock()
		if !connected {
			s.conn.Close(engine.ConnectTimeout)
		}
	})
}

// setTimer replaces the timer, unless the connection has ended.
func (s *session) setTimer(at time.Time, fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.setTimerLocked(time.AfterFunc(time.Until(at), fn))
	}
}

func (s *session) setTimerLocked(timer *time.Timer) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = timer
}
