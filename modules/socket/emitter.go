package socket

import (
	"context"
	"errors"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/nodes"
	"github.com/moim-live/moim/modules/socket/recovery"
)

// Emitter sends events to the sockets of all nodes. It encodes arguments once for all
// sockets: as JSON, and []byte and [Binary] as binary data. It never waits for clients. It
// is safe for concurrent use.
type Emitter struct {
	hub *adapter.Hub
	own *adapter.Owner // nil if err is set
	err error

	nodes  *nodes.Directory // of the gateway; nil without one
	bridge Bridge           // of the gateway; nil without one

	report func(detailed bool) any // returns this node's own status report

	recovery *recovery.Store // of the gateway; nil if it is disabled
}

// NewEmitter returns an emitter for hub's rooms. Call it before the hub starts, because it
// reserves the names of the socket module.
func NewEmitter(hub *adapter.Hub) *Emitter {
	own, err := hub.Reserve(&names)
	return &Emitter{hub: hub, own: own, err: err, report: func(bool) any { return struct{}{} }}
}

// To returns the sockets in any of the rooms. The id of a socket is a room with only this
// socket.
func (e *Emitter) To(rooms ...string) Target { return e.All().To(rooms...) }

// ToUser returns the sockets of a user.
func (e *Emitter) ToUser(userID string) Target {
	t := e.All()
	t.user = userID
	return t
}

// SocketsOfUser returns the sockets of a user, like [Target.Sockets], and the names of the
// nodes that did not answer.
func (e *Emitter) SocketsOfUser(ctx context.Context, userID string) (found []Info, missing []string, err error) {
	return e.ToUser(userID).sockets(ctx)
}

// All returns all sockets.
func (e *Emitter) All() Target { return Target{emitter: e, Namespace: mainNamespace} }

// Of returns all sockets in a namespace.
func (e *Emitter) Of(namespace string) Target {
	t := e.All()
	t.Namespace = namespace
	return t
}

// DisconnectUser closes a user's connections on all nodes. Socket.IO clients do not
// reconnect automatically.
func (e *Emitter) DisconnectUser(ctx context.Context, userID string) error {
	if e.err != nil {
		return e.err
	}
	env := adapter.Envelope{Room: userRoom(userID), Event: eventDisconnect, Data: []byte("{}")}
	disconnect(e.own.Sockets(env.Room))
	return errors.Join(e.own.Publish(ctx, env), e.ToUser(userID).shared(func(b Bridge, to Selection) error {
		return b.Disconnect(ctx, to, true)
	}))
}

func disconnect(sockets []adapter.Socket) {
	for _, s := range sockets {
		if s := socketOf(s); s != nil {
			s.Disconnect(true)
		}
	}
}

// socketOf returns the socket behind a member of a room, or nil.
func socketOf(s adapter.Socket) *Socket {
	switch m := s.(type) {
	case member:
		return m.Socket
	case silent:
		return m.Socket
	case ModuleSocket:
		return m.Socket
	}
	return nil
}
