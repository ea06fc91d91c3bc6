package socket

import (
	"sync"
	"sync/atomic"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Bounds of one socket.
const (
	maxRooms = 20_000 // rooms that a program has it join
	maxHeld  = 1_024  // frames that wait for its OnConnect handlers
)

var errTooManyRooms = fault.New(fault.Conflict, "limit_reached", "this socket is in too many rooms")

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
	endpoint endpoint
	conn     *engine.Conn
	hub      *adapter.Hub
	own      *adapter.Owner // of the user's room

	state  atomic.Int32
	kicked atomic.Bool // the server ended it: nothing more is handled

	mu    sync.Mutex
	held  []*engine.Frame
	rooms map[string]*adapter.Owner // and who put it there; without the user's room, nil while there are none
}

var _ adapter.Socket = (*Socket)(nil)

func newSocket(identity auth.Identity, d endpoint, conn *engine.Conn, hub *adapter.Hub, own *adapter.Owner) *Socket {
	return &Socket{id: newID(), identity: identity, endpoint: d, conn: conn, hub: hub, own: own}
}

// ID returns the socket's id, unique in the cluster; over Socket.IO the client
// knows it as socket.id.
func (s *Socket) ID() string { return s.id }

// UserID returns the id of the user that the socket speaks for.
func (s *Socket) UserID() string { return s.identity.UserID }

// Identity returns what the authenticator said about the client.
func (s *Socket) Identity() auth.Identity { return s.identity }

// Codec returns what encodes events for this socket.
func (s *Socket) Codec() adapter.Codec { return s.endpoint.codec() }

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

// SendAll is [Socket.Send] for several frames, which go out in one write where
// the network takes them. It does not keep the slice.
func (s *Socket) SendAll(frames []*engine.Frame) {
	if s.state.Load() == open {
		s.conn.SendAll(frames)
		return
	}
	for _, f := range frames {
		s.Send(f)
	}
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

// Emit sends an event to this socket alone. data is JSON; it is copied. Once the
// socket is closed it does nothing. It returns an error for a name that
// Socket.IO keeps for itself, and an [adapter.ReservedError] for an event of a
// module.
func (s *Socket) Emit(event string, data []byte) error { return s.EmitAs(s.hub.Owner, event, data) }

// EmitAs is [Socket.Emit] for a module that has reserved the event.
func (s *Socket) EmitAs(o *adapter.Owner, event string, data []byte) error {
	if err := checkEvent(o, event); err != nil {
		return err
	}
	s.Send(s.Codec().Event(event, data))
	return nil
}

// Join puts the socket into a room of the hub. Once the socket is closed it
// does nothing. It returns an [adapter.ReservedError] for a room of a module,
// users' rooms among them, and limit_reached for a room beyond 20,000.
func (s *Socket) Join(room string) error { return s.JoinAs(s.hub.Owner, room) }

// JoinAs is [Socket.Join] for a module that has reserved the room. It has no
// limit: the module knows its own.
func (s *Socket) JoinAs(o *adapter.Owner, room string) error {
	if err := o.CheckRoom(room); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.rooms[room]; in || s.state.Load() == closed {
		return nil
	}
	if o == s.hub.Owner && len(s.rooms) >= maxRooms {
		return errTooManyRooms
	}
	if s.rooms == nil {
		s.rooms = make(map[string]*adapter.Owner)
	}
	s.rooms[room] = o
	return o.Join(room, s)
}

// Leave takes the socket out of a room that it joined. It returns an
// [adapter.ReservedError] for a room of a module.
func (s *Socket) Leave(room string) error { return s.LeaveAs(s.hub.Owner, room) }

// LeaveAs is [Socket.Leave] for a module that has reserved the room.
func (s *Socket) LeaveAs(o *adapter.Owner, room string) error {
	if err := o.CheckRoom(room); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.rooms[room]; in {
		delete(s.rooms, room)
		o.Leave(room, s)
	}
	return nil
}

// Disconnect tells the client that the server ends the socket, so that it does
// not come back by itself, and closes the connection with reason. Messages that
// wait to be handled are dropped.
func (s *Socket) Disconnect(reason engine.Reason) {
	s.kicked.Store(true)
	if !s.close() {
		return
	}
	if farewell := s.endpoint.farewell(); farewell != nil {
		s.conn.Send(farewell)
	}
	s.conn.Close(reason)
}

// enter puts the socket into its user's room. It reports false when the socket
// was closed before.
func (s *Socket) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Load() != closed && s.own.Join(userRoom(s.UserID()), s) == nil
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
	s.own.Leave(userRoom(s.UserID()), s)
	for room, owner := range s.rooms {
		owner.Leave(room, s)
	}
	s.rooms, s.held = nil, nil
	return true
}
