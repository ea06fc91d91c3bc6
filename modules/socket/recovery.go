package socket

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/recovery"
)

// recoverable is the additional state of a [Socket] that may be recovered.
type recoverable struct {
	*recovery.Kept

	recovered bool            // the client has come back
	missed    []*engine.Frame // events to send before the welcome
}

// Recovered reports whether the client had lost its connection and has come back with its
// state. The socket has then joined its rooms already, so OnConnect handlers need not.
func (s *Socket) Recovered() bool { return s.recovery != nil && s.recovery.recovered }

// makeRecoverable makes a new socket recoverable. If its client comes back, the socket gets
// the id and the secret of the parked one.
func (s *Socket) makeRecoverable(from *recovery.Returning) {
	r := s.session.gateway.recovery
	if r == nil || s.session.endpoint == (plain{}) {
		return
	}
	s.recovery = &recoverable{Kept: r.Offer(parkable{s}, from), recovered: from != nil}
	if from != nil {
		s.id = from.ID
	}
}

// keep lets the client come back to the socket, unless it is closed.
func (s *Socket) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepLocked()
}

func (s *Socket) keepLocked() {
	if s.recovery != nil && s.state.Load() != closed {
		s.recovery.Know()
	}
}

// sendMissed sends the events that the client of a recovered socket has missed.
func (s *Socket) sendMissed() {
	if s.recovery == nil {
		return
	}
	for _, f := range s.recovery.missed {
		s.session.conn.Send(f)
	}
	s.recovery.missed = nil
}

// parkLocked parks a closed socket if its client can come back. s.mu is held.
func (s *Socket) parkLocked(reason engine.Reason, welcomed bool) bool {
	if s.recovery == nil || !welcomed || !recovery.MayReturn(reason) || !s.recovery.Park() {
		return false
	}
	for name, owner := range s.rooms {
		if owner != s.program() {
			owner.Leave(name, member{s})
			delete(s.rooms, name)
		}
	}
	return true
}

// missHeld records the held-back frames as missed when the socket is closed.
func (s *Socket) missHeld() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.held {
		s.miss(f)
	}
	s.held = nil
}

// miss records a frame that was sent to a closed socket as missed.
func (s *Socket) miss(f *engine.Frame) {
	if s.recovery != nil && f.Offset() != "" {
		s.recovery.Miss(f)
	}
}

// forget removes a parked socket from its rooms. It does nothing for others.
func (s *Socket) forget() {
	if s.recovery == nil || s.state.Load() != closed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked()
}

// resume gives a new socket the state of the client's parked one. The new socket has the
// same id and its own rooms already. resume returns false if it is too late.
func (s *Socket) resume(ctx context.Context, from *recovery.Returning) bool {
	ctx, cancel := context.WithTimeout(ctx, recovery.MaxReturning)
	defer cancel()
	s.keep() // if the connection ends now, this socket is parked
	for _, room := range from.Rooms {
		_ = s.Join(room) // it was in the room before
	}
	if !from.Local() {
		s.awaitRooms(ctx, from.Rooms)
	}
	t := from.Take(ctx, s.UserID(), s.send)
	if parked, local := t.From.(parkable); local {
		s.takeData(parked.Socket)
		parked.forget()
	}
	if !from.Local() {
		s.dropForeign()
	}
	if len(t.Events) == 0 {
		return false
	}
	s.adopt(from.Rooms, t)
	return true
}

// awaitRooms waits until events from other nodes to the socket's rooms reach this node.
func (s *Socket) awaitRooms(ctx context.Context, rooms []string) {
	awaitRooms(ctx, s.program(), s.namespace, rooms)
	_ = s.own().Watch(ctx, userRoom(s.UserID())) // it waits at most a second
	s.own().Unwatch(userRoom(s.UserID()))
}

// adopt takes over a history, and the parked socket's final rooms. before are the rooms
// that the socket has joined already.
func (s *Socket) adopt(before []string, t recovery.Taken) {
	s.recovery.Continue(t)
	for _, room := range before {
		if !slices.Contains(t.Rooms, room) {
			_ = s.Leave(room)
		}
	}
	for _, room := range t.Rooms {
		_ = s.Join(room) // a no-op if it was joined before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recovery.missed = t.Events[1:] // the client has seen the first one
	if t.Data != nil {
		s.moved = t.Data
	}
}

// takeData takes over the program's data of a parked socket of this node.
func (s *Socket) takeData(from *Socket) {
	from.mu.Lock()
	data, moved := maps.Clone(from.data), maps.Clone(from.moved)
	from.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.moved = data, moved
}

// dropForeign drops held-back events of a bridge.
func (s *Socket) dropForeign() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = slices.DeleteFunc(s.held, recovery.IsForeign)
}

// parkable is a [Socket] with the methods that package recovery needs.
type parkable struct{ *Socket }

var _ recovery.Socket = parkable{}

// Away implements [recovery.Socket].
func (s parkable) Away() bool { return s.state.Load() == closed }

// Lose implements [recovery.Socket].
func (s parkable) Lose() { s.session.conn.Close(engine.TransportClose) }

// Forget implements [recovery.Socket].
func (s parkable) Forget() { s.forget() }

// State implements [recovery.Socket].
func (s parkable) State() recovery.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := recovery.State{ID: s.id, User: s.UserID()}
	for name := range s.rooms {
		if room, in := s.namespace.roomOf(name); in {
			state.Rooms = append(state.Rooms, room)
		}
	}
	return state
}

// Data implements [recovery.Socket]. The handlers of the socket have ended.
func (s parkable) Data() map[string]json.RawMessage {
	s.mu.Lock()
	values, data := maps.Clone(s.data), maps.Clone(s.moved)
	s.mu.Unlock()
	if data == nil {
		data = make(map[string]json.RawMessage)
	}
	for kind, value := range values {
		_ = s.session.gateway.isolated(context.Background(), func() error { // this may call the program's MarshalJSON
			encoded, err := json.Marshal(value)
			if err == nil {
				data[typeName(kind)] = encoded
			}
			return nil // data that JSON cannot hold is lost
		}, "handler", "data", "user", s.UserID(), "socket", s.ID())
	}
	return data
}

func typeName(kind reflect.Type) string { return kind.PkgPath() + "." + kind.String() }
