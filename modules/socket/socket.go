package socket

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// Bounds of one socket.
const (
	maxRooms = 20_000 // rooms that it joins
	maxHeld  = 1_024  // frames that wait for its OnConnect handlers
)

// UserRoom returns the name of the room that every socket of a user is in.
func UserRoom(userID string) string { return "user:" + userID }

// The states of a [Socket], in the order in which it goes through them.
const (
	connecting int32 = iota // what it is sent is held back
	open
	closed
)

// Socket is one client's connection on this node. Its methods may be called
// concurrently; sockets are compared by address.
type Socket struct {
	id       string
	identity auth.Identity
	door     door
	conn     *engine.Conn
	hub      *adapter.Hub
	log      *slog.Logger

	state  atomic.Int32
	kicked atomic.Bool // the server ended it: nothing more is handled

	mu    sync.Mutex
	held  []*engine.Frame
	rooms map[string]struct{} // without the user's room; nil while there are none
}

var _ adapter.Socket = (*Socket)(nil)

func newSocket(identity auth.Identity, d door, conn *engine.Conn, hub *adapter.Hub, log *slog.Logger) *Socket {
	return &Socket{id: newID(), identity: identity, door: d, conn: conn, hub: hub, log: log}
}

// ID returns the socket's id, unique in the cluster; over Socket.IO the client
// knows it as socket.id.
func (s *Socket) ID() string { return s.id }

// UserID returns the id of the user that the socket speaks for.
func (s *Socket) UserID() string { return s.identity.UserID }

// Identity returns what the authenticator said about the client.
func (s *Socket) Identity() auth.Identity { return s.identity }

// Codec returns what encodes events for this socket.
func (s *Socket) Codec() adapter.Codec { return s.door.codec() }

// Send queues a frame that the socket's codec has built. It never blocks: a
// socket whose queue is full is closed. A closed socket drops it.
func (s *Socket) Send(f *engine.Frame) {
	switch s.state.Load() {
	case open:
		s.conn.Send(f)
	case connecting:
		s.hold(f)
	}
}

// Queue is [Socket.Send] for a frame that may wait for others, for
// [Config].Gather at most.
func (s *Socket) Queue(f *engine.Frame) {
	if s.state.Load() == open {
		s.conn.Queue(f)
		return
	}
	s.Send(f)
}

// Busy reports whether so much is queued for the client that what can wait
// should.
func (s *Socket) Busy() bool { return s.conn.Busy() }

func (s *Socket) hold(f *engine.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state := s.state.Load(); {
	case state == closed:
	case state == open:
		s.conn.Send(f)
	case len(s.held) >= maxHeld:
		s.conn.Close(engine.SlowConsumer)
	default:
		s.held = append(s.held, f)
	}
}

// Emit sends an event to this socket alone. data is JSON; it is copied. Events
// with a name that Socket.IO keeps for itself are dropped, and logged.
func (s *Socket) Emit(event string, data []byte) {
	if event == "" || packet.Reserved(event) {
		s.log.Error("socket: an event's name is empty or reserved", "event", event)
		return
	}
	s.Send(s.Codec().Event(event, data))
}

// Join puts the socket into a room of the hub. Once the socket is closed it
// does nothing; a room beyond 20,000 is refused and logged.
func (s *Socket) Join(room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.rooms[room]; in || s.state.Load() == closed || room == UserRoom(s.UserID()) {
		return
	}
	if len(s.rooms) >= maxRooms {
		s.log.Warn("socket: a socket is in too many rooms", "socket", s.id, "user", s.UserID(), "rooms", len(s.rooms))
		return
	}
	if s.rooms == nil {
		s.rooms = make(map[string]struct{})
	}
	s.rooms[room] = struct{}{}
	s.hub.Join(room, s)
}

// Leave takes the socket out of a room that it joined.
func (s *Socket) Leave(room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.rooms[room]; !in {
		return
	}
	delete(s.rooms, room)
	s.hub.Leave(room, s)
}

// Disconnect tells the client that the server ends the socket, so that it does
// not come back by itself, and closes the connection with reason. Messages that
// wait to be handled are dropped.
func (s *Socket) Disconnect(reason engine.Reason) {
	s.kicked.Store(true)
	if !s.close() {
		return
	}
	if farewell := s.door.farewell(); farewell != nil {
		s.conn.Send(farewell)
	}
	s.conn.Close(reason)
}

// enter puts the socket into its user's room. It reports false when the socket
// was closed before.
func (s *Socket) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == closed {
		return false
	}
	s.hub.Join(UserRoom(s.UserID()), s)
	return true
}

// open lets the socket receive: welcome, if any, first, then what was held. It
// reports false when the socket was closed before.
func (s *Socket) open(welcome *engine.Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == closed {
		return false
	}
	if welcome != nil {
		s.conn.Send(welcome)
	}
	for _, f := range s.held {
		s.conn.Send(f)
	}
	s.held = nil
	s.state.Store(open)
	return true
}

// close ends the delivery to the socket and takes it out of its rooms; when it
// returns that has happened. It reports false when it was closed before.
func (s *Socket) close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Swap(closed) == closed {
		return false
	}
	s.hub.Leave(UserRoom(s.UserID()), s)
	for room := range s.rooms {
		s.hub.Leave(room, s)
	}
	s.rooms, s.held = nil, nil
	return true
}
