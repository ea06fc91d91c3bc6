package socket

import (
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// ModuleSocket is a [Socket] for a module. It can use the rooms and events that the module
// has reserved, and can send encoded frames. It is safe for concurrent use. Values for the
// same socket and owner are equal.
type ModuleSocket struct {
	member
	owner *adapter.Owner
}

// ForModule returns s for the module that owns o.
func ForModule(o *adapter.Owner, s *Socket) ModuleSocket { return ModuleSocket{member{s}, o} }

// Emit sends an event to this socket only. data is JSON and is copied. The event must be
// the module's or the program's. Errors are those of [Socket.Emit].
func (m ModuleSocket) Emit(event string, data []byte) error {
	if err := checkEvent(m.owner, event); err != nil {
		return err
	}
	m.send(m.codec().Event(adapter.Envelope{Event: event, Data: data}))
	return nil
}

// Join adds the socket to a room of the module. The number of rooms is not
// limited. The error is an [adapter.ReservedError].
func (m ModuleSocket) Join(room string) error { return m.join(m.owner, room) }

// Leave removes the socket from a room of the module. The error is an
// [adapter.ReservedError].
func (m ModuleSocket) Leave(room string) error { return m.leave(m.owner, room) }

// member is a [Socket] as the hub's rooms see it.
type member struct{ *Socket }

var _ adapter.Socket = member{}

// Codec returns the encoding of events for this socket.
func (m member) Codec() adapter.Codec { return m.codec() }

// Send implements [adapter.Socket]. The frame comes from the socket's codec.
func (m member) Send(f *engine.Frame) { m.send(f) }

// SendAll implements [adapter.Socket].
func (m member) SendAll(frames []*engine.Frame) {
	if m.state.Load() == open && m.recovery == nil {
		m.session.conn.SendAll(frames)
		return
	}
	for _, f := range frames {
		m.send(f)
	}
}

// Busy reports whether so much is queued for the client that less urgent events should
// wait.
func (m member) Busy() bool { return m.session.conn.Busy() }

// WhenFree calls fn in another goroutine once the client is not busy, or has gone.
func (m member) WhenFree(fn func()) { m.session.conn.WhenFree(fn) }

// Writable implements [adapter.Socket].
func (m member) Writable() bool { return m.session.conn.Writable() }

// silent is a member of a room that does not get the room's events.
type silent struct{ member }

// Send implements [adapter.Socket].
func (silent) Send(*engine.Frame) {}

// SendAll implements [adapter.Socket].
func (silent) SendAll([]*engine.Frame) {}
