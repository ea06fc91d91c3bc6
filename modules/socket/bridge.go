package socket

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Selection is what servers that are not nodes know of a [Target].
type Selection struct {
	Namespace string
	Rooms     []string // empty: all sockets; "user:" and an id: the sockets of a user
	Except    []string
}

// Bridge shares the rooms of namespaces with servers that are not nodes, such as
// those of Node's socket.io. Modules' rooms are not shared, except those of users. Its
// methods may be called concurrently. The envelopes have no room.
//
// Events are delivered at most once. Errors concern the other servers only.
type Bridge interface {
	// Start begins to serve the other servers. It is called once, before any client
	// connects, and does not wait for a server that is down.
	Start(ctx context.Context, local Local) error

	// Stop ends what Start began.
	Stop(ctx context.Context) error

	// Emit, Join, Leave and Disconnect do what the methods of [Target] do, for the
	// sockets of the other servers.
	Emit(ctx context.Context, to Selection, env adapter.Envelope) error
	Join(ctx context.Context, to Selection, rooms []string) error
	Leave(ctx context.Context, to Selection, rooms []string) error
	Disconnect(ctx context.Context, to Selection, closeConnection bool) error

	// Sockets returns the sockets of the other servers. It returns what it knows, and
	// an [ErrIncomplete], if some servers have not answered when ctx ends.
	Sockets(ctx context.Context, to Selection) ([]Info, error)

	// EmitWithAck emits an event and returns the acknowledgements, and an
	// [ErrIncomplete] if some clients or servers have not answered when ctx ends.
	EmitWithAck(ctx context.Context, to Selection, env adapter.Envelope) ([]Args, error)

	// Changed tells that a socket of this node has joined a room (by 1) or left it (by
	// -1). It does not block.
	Changed(namespace, room string, by int)
}

// shared calls fn with the bridge, if there is one and the target is not this node
// alone.
func (t Target) shared(fn func(b Bridge, to Selection) error) error {
	b := t.emitter.bridge
	if b == nil || t.local {
		return nil
	}
	to := Selection{Namespace: t.Namespace, Rooms: slices.Clone(t.Rooms), Except: slices.Clone(t.Without)}
	if t.user != "" {
		to.Rooms = append(to.Rooms, userRoom(t.user))
	}
	if t.sender != "" {
		to.Except = append(to.Except, t.sender)
	}
	return fn(b, to)
}

// ofBridge asks the bridge while other nodes answer. The caller must call the returned
// function, which waits for the result.
func ofBridge[T any](t Target, ask func(b Bridge, to Selection) ([]T, error)) (wait func() ([]T, error)) {
	var found []T
	done := make(chan error, 1)
	go func() {
		done <- t.shared(func(b Bridge, to Selection) (err error) {
			found, err = ask(b, to)
			return err
		})
	}()
	return func() ([]T, error) {
		err := <-done
		return found, err
	}
}

// Local is what a [Bridge] may do with the sockets of this node. Names that a module has
// reserved are ignored in selections, except users' rooms. The methods do not wait for
// clients and may be called concurrently.
type Local struct {
	emitter    *Emitter
	namespaces []string
}

// Namespaces returns the namespaces to which clients can connect.
func (l Local) Namespaces() []string { return l.namespaces }

func (l Local) target(s Selection) Target {
	return Target{emitter: l.emitter, local: true, bridged: true, Namespace: s.Namespace, Rooms: s.Rooms, Without: s.Except}
}

// Sockets returns the selected sockets.
func (l Local) Sockets(s Selection) []*Socket {
	members := l.target(s).present()
	sockets := make([]*Socket, len(members))
	for i, m := range members {
		sockets[i] = socketOf(m)
	}
	return sockets
}

// Rooms returns the rooms in which a socket is for a bridge: also that of its user.
func (l Local) Rooms(s *Socket) []string { return append(s.Rooms(), userRoom(s.UserID())) }

// Emit sends an event. It returns an error for an event that a program may not send.
func (l Local) Emit(s Selection, env adapter.Envelope) error {
	if err := checkEvent(l.emitter.hub.Owner, env.Event); err != nil {
		return err
	}
	if !env.Volatile {
		env.Offset = l.emitter.recovery.ForeignOffset()
	}
	adapter.Send([]*adapter.Message{adapter.NewMessage(env)}, l.target(s).members()...)
	return nil
}

// EmitWithAck sends an event. It calls asked with the number of clients that can
// acknowledge it, then reply for each acknowledgement, and returns when ctx ends or all
// are there. It returns an error as Emit does.
func (l Local) EmitWithAck(ctx context.Context, s Selection, env adapter.Envelope, asked func(int), reply func(Args)) error {
	if err := checkEvent(l.emitter.hub.Owner, env.Event); err != nil {
		return err
	}
	t := l.target(s)
	t.lossy = env.Volatile
	_, clients, answers, forget := t.askClients(env)
	defer forget()
	asked(clients)
	for range clients {
		select {
		case a := <-answers:
			if a.reply != nil {
				reply(a.reply)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Join adds the sockets to rooms.
func (l Local) Join(s Selection, rooms []string) { l.target(s).apply(eventJoin, rooms) }

// Leave removes the sockets from rooms.
func (l Local) Leave(s Selection, rooms []string) { l.target(s).apply(eventLeave, rooms) }

// Disconnect is [Socket.Disconnect] for each socket.
func (l Local) Disconnect(s Selection, closeConnection bool) {
	for _, m := range l.target(s).members() {
		socketOf(m).Disconnect(closeConnection)
	}
}

// startBridge begins to share rooms.
func (g *Gateway) startBridge(ctx context.Context) error {
	if g.deps.Bridge == nil {
		return nil
	}
	return g.deps.Bridge.Start(ctx, Local{g.emitter, slices.Sorted(maps.Keys(g.namespaces))})
}

func (g *Gateway) stopBridge(ctx context.Context) error {
	if g.deps.Bridge == nil {
		return nil
	}
	return g.deps.Bridge.Stop(ctx)
}

// tellOwnRooms tells that the socket is in its own rooms, or has left them. s.mu is held.
func (s *Socket) tellOwnRooms(in bool) {
	if s.inOwnRooms == in {
		return
	}
	s.inOwnRooms = in
	by := 1
	if !in {
		by = -1
	}
	for _, room := range []string{s.id, userRoom(s.UserID())} {
		s.tellBridge(s.program(), room, by)
	}
}

// tellBridge tells that the socket has joined a room of o (by 1), or left it (by -1).
func (s *Socket) tellBridge(o *adapter.Owner, room string, by int) {
	if b := s.session.gateway.deps.Bridge; b != nil && o == s.program() {
		b.Changed(s.namespace.name, room, by)
	}
}

// isUserRoom reports whether a bridge's room is that of a user.
func isUserRoom(room string) bool { return strings.HasPrefix(room, userRoom("")) }
