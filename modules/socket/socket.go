package socket

import (
	"encoding/json"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Limits of one socket.
const (
	maxRooms = 20_000 // rooms that the program joins
	maxHeld  = 1_024  // frames held back while OnConnect handlers run
)

var errTooManyRooms = fault.New(fault.Conflict, "limit_reached", "this socket is in too many rooms")

// The states of a [Socket], in order.
const (
	connecting int32 = iota // frames are held back
	open
	closed
)

// Socket is one client on this node, in one namespace. It is safe for concurrent use. Two
// sockets are the same if their addresses are equal.
type Socket struct {
	id        string
	identity  atomic.Pointer[auth.Identity] // the user never changes: see Renew
	session   *session
	namespace *namespace
	handshake *Handshake // nil if no handler needs it
	address   string     // the client's IP address
	since     time.Time

	state        atomic.Int32
	disconnected atomic.Bool // by the server: later messages are not handled

	mu         sync.Mutex
	held       []*engine.Frame
	rooms      map[string]*adapter.Owner  // with the owner that joined each; without the socket's own rooms; nil when empty
	inOwnRooms bool                       // as last told to the bridge
	recovery   *recoverable               // nil if it cannot be recovered; set before the socket is open
	moved      map[string]json.RawMessage // data from another node, until Data asks for it
	expiry     *time.Timer                // fires when the identity expires, and once before
	data       map[reflect.Type]any       // see Data
	acks       map[uint64]func(Args)      // handle acknowledgements: see sendWithAck
	nextID     uint64                     // of the next acknowledgement
}

// ID returns the socket's id, which is unique in the cluster. Over Socket.IO, it
// is the client's socket.id.
func (s *Socket) ID() string { return s.id }

// UserID returns the id of the user.
func (s *Socket) UserID() string { return s.identity.Load().UserID }

// Identity returns the result of the [Authenticator], for the client's last token.
func (s *Socket) Identity() auth.Identity { return *s.identity.Load() }

// Namespace returns the name of the socket's namespace.
func (s *Socket) Namespace() string { return s.namespace.name }

// Handshake returns the request and the auth payload with which the client connected. It
// contains the client's token: do not log it. Do not modify it.
func (s *Socket) Handshake() Handshake {
	if s.handshake == nil { // no handler of the program was registered
		return Handshake{}
	}
	return *s.handshake
}

// transport returns how the client is connected now.
func (s *Socket) transport() string {
	if s.session.conn.Polling() {
		return TransportPolling
	}
	return TransportWebSocket
}

// Data returns the program's own data of type T for a socket. It starts as the zero value.
// Concurrent use is up to the caller. If a client comes back on another node, it gets the
// data that JSON can encode, so do not change the data after the OnDisconnect handlers.
func Data[T any](s *Socket) *T {
	key := reflect.TypeFor[T]()
	s.mu.Lock()
	if data, ok := s.data[key].(*T); ok {
		s.mu.Unlock()
		return data
	}
	moved, isMoved := s.moved[typeName(key)]
	delete(s.moved, typeName(key))
	s.mu.Unlock()
	data := new(T)
	if isMoved {
		_ = json.Unmarshal(moved, data) // another version of the program may have another T
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, ok := s.data[key].(*T); ok { // another call was first
		return other
	}
	if s.data == nil {
		s.data = make(map[reflect.Type]any)
	}
	s.data[key] = data
	return data
}

// Emit sends an event to this socket only. The arguments are encoded as JSON; []byte and
// [Binary] are sent as binary data. Emit does not block, and does nothing if the socket is
// closed. It returns an error for an event name that Socket.IO reserves, and an
// [adapter.ReservedError] for an event that a module has reserved.
func (s *Socket) Emit(event string, args ...any) error {
	env, err := encodeEvent(s.program(), event, args)
	if err == nil {
		env.Offset = s.session.gateway.recovery.Offset()
		s.send(s.codec().Event(env))
	}
	return err
}

// Volatile returns a sender for events that are worthless later. Its Emit drops them while
// the client has not taken earlier ones.
func (s *Socket) Volatile() Volatile { return Volatile{s} }

// Volatile sends events to one socket, and may drop them: see [Socket.Volatile].
type Volatile struct{ socket *Socket }

// Emit is [Socket.Emit] for an event that may be dropped.
func (v Volatile) Emit(event string, args ...any) error {
	env, err := encodeEvent(v.socket.program(), event, args)
	if err == nil && v.socket.session.conn.Writable() {
		v.socket.send(v.socket.codec().Event(env))
	}
	return err
}

func (s *Socket) program() *adapter.Owner { return s.session.gateway.program() }

// codec returns the encoding of events for this socket.
func (s *Socket) codec() adapter.Codec { return s.session.endpoint.codec(s.namespace) }

// Rooms returns the rooms that the socket has joined, in no order, including its id, which
// is its own room. Rooms of modules are left out.
func (s *Socket) Rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := []string{s.id}
	for name, owner := range s.rooms {
		if room, in := s.namespace.roomOf(name); in && owner == s.program() {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// Join adds the socket to a room. It does nothing if the socket is closed. It returns an
// [adapter.ReservedError] for a room that a module has reserved, which includes users'
// rooms, and limit_reached for more than 20,000 rooms.
func (s *Socket) Join(room string) error { return s.join(s.program(), room) }

func (s *Socket) join(o *adapter.Owner, room string) error {
	name, err := s.namespace.room(o, room)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.rooms[name]; in || s.state.Load() == closed {
		return nil
	}
	if o == s.program() && len(s.rooms) >= maxRooms {
		return errTooManyRooms
	}
	if s.rooms == nil {
		s.rooms = make(map[string]*adapter.Owner)
	}
	s.rooms[name] = o
	s.tellBridge(o, room, 1)
	return o.Join(name, member{s})
}

// Leave removes the socket from a room. It returns an [adapter.ReservedError] for a room
// that a module has reserved.
func (s *Socket) Leave(room string) error { return s.leave(s.program(), room) }

func (s *Socket) leave(o *adapter.Owner, room string) error {
	name, err := s.namespace.room(o, room)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.rooms[name]; in {
		delete(s.rooms, name)
		o.Leave(name, member{s})
		s.tellBridge(o, room, -1)
	}
	return nil
}

// Disconnect removes the client from the socket's namespace, or closes its connection.
// Queued messages are dropped. A Socket.IO client does not reconnect automatically. Over a
// plain WebSocket, the connection is always closed.
func (s *Socket) Disconnect(closeConnection bool) {
	s.forget() // the socket may be parked
	farewell := s.session.endpoint.farewell(s.namespace)
	if closeConnection || farewell == nil {
		s.session.disconnectAll(engine.Disconnected)
		return
	}
	s.disconnected.Store(true)
	if s.close(engine.ServerDisconnect) {
		s.session.conn.Send(farewell)
		s.session.disconnect(s)
	}
}

// send sends a frame, or holds it back while the socket is connecting.
func (s *Socket) send(f *engine.Frame) {
	switch s.state.Load() {
	case open:
		s.deliver(f)
	case connecting:
		s.hold(f)
	default:
		s.miss(f)
	}
}

// deliver sends a frame of an open socket.
func (s *Socket) deliver(f *engine.Frame) {
	if s.recovery == nil || f.Offset() == "" {
		s.session.conn.Send(f)
		return
	}
	s.recovery.Add(f, s.session.conn.Send)
}

func (s *Socket) hold(f *engine.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state := s.state.Load(); {
	case state == closed:
		s.miss(f)
	case state == open:
		s.deliver(f)
	case len(s.held) >= maxHeld/2 && f.IsLossy():
	case len(s.held) >= maxHeld:
		s.session.conn.Close(engine.SlowConsumer)
	default:
		s.held = append(s.held, f)
	}
}

// joinOwnRooms adds the socket to the rooms of its user, of its id, and of its namespace.
// It returns false if the socket is closed.
func (s *Socket) joinOwnRooms() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == closed || s.own().Join(userRoom(s.UserID()), s.userMember()) != nil {
		return false
	}
	for _, room := range s.localRooms() {
		s.own().JoinLocal(room, member{s})
	}
	s.tellOwnRooms(true)
	return true
}

func (s *Socket) own() *adapter.Owner { return s.session.gateway.own }

// localRooms returns the rooms that exist on this node only.
func (s *Socket) localRooms() []string {
	return []string{idRoom(s.id), allRoom(s.namespace.name)}
}

// userMember is the socket as a member of its user's room. Only sockets in the main
// namespace get what is sent to a user.
func (s *Socket) userMember() adapter.Socket {
	if s.namespace.name == mainNamespace {
		return member{s}
	}
	return silent{member{s}}
}

// open sends the events that a recovered socket missed, then welcome, which may be nil, and
// then the held-back frames.
func (s *Socket) open(welcome *engine.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() == closed {
		return
	}
	s.keepLocked()
	s.sendMissed()
	if welcome != nil {
		s.session.conn.Send(welcome)
	}
	for _, f := range s.held {
		s.deliver(f)
	}
	s.held = nil
	if s.state.CompareAndSwap(connecting, open) {
		s.awaitExpiryLocked()
	}
}

// close runs the OnDisconnecting handlers and removes the socket from its rooms, or parks
// it: see package recovery. Afterwards, no frame is sent to it. close returns false if the
// socket was closed before.
func (s *Socket) close(reason engine.Reason) bool {
	before := s.state.Swap(closed)
	if before == closed {
		return false
	}
	s.missHeld()
	s.session.gateway.disconnecting(s, reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expiry != nil {
		s.expiry.Stop()
	}
	if !s.parkLocked(reason, before == open || s.Recovered()) {
		s.leaveLocked()
	}
	for _, answered := range s.acks {
		answered(nil)
	}
	s.acks = nil
	return true
}

// leaveLocked removes the socket from all rooms.
func (s *Socket) leaveLocked() {
	s.own().Leave(userRoom(s.UserID()), s.userMember())
	for _, room := range s.localRooms() {
		s.own().LeaveLocal(room, member{s})
	}
	s.tellOwnRooms(false)
	for room, owner := range s.rooms {
		owner.Leave(room, member{s})
		if room, in := s.namespace.roomOf(room); in {
			s.tellBridge(owner, room, -1)
		}
	}
	s.rooms, s.held = nil, nil
	if s.recovery != nil {
		s.recovery.Release()
	}
}

// abandon removes a socket that was never shown to a handler or a client.
func (s *Socket) abandon() {
	s.state.Store(closed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked()
}
