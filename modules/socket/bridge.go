package socket

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// Selection is a [Target] as servers that are not nodes know it.
type Selection struct {
	Namespace string
	Rooms     []string // all sockets if empty; "user:" and an id for the sockets of a user
	Except    []string
}

// Bridge shares the rooms of namespaces with servers that are not nodes, such as those of
// Node's socket.io. Of the modules' rooms, only users' rooms are shared. A Bridge is safe
// for concurrent use. Envelopes are passed without their room.
//
// Events are delivered at most once. Errors are about the other servers only.
type Bridge interface {
	// Start begins to serve the other servers. It is called once, before any client
	// connects. It must not wait for a server that is down.
	Start(ctx context.Context, local Local) error

	// Stop stops serving.
	Stop(ctx context.Context) error

	// Emit, Join, Leave and Disconnect are the methods of [Target] for the sockets of the
	// other servers.
	Emit(ctx context.Context, to Selection, env adapter.Envelope) error
	Join(ctx context.Context, to Selection, rooms []string) error
	Leave(ctx context.Context, to Selection, rooms []string) error
	Disconnect(ctx context.Context, to Selection, closeConnection bool) error

	// Sockets returns the sockets of the other servers. If some servers have not answered
	// when ctx ends, it returns the others' sockets and an [ErrIncomplete].
	Sockets(ctx context.Context, to Selection) ([]Info, error)

	// EmitWithAck emits an event and returns the acknowledgements. It also returns an
	// [ErrIncomplete] if some clients or servers have not answered when ctx ends.
	EmitWithAck(ctx context.Context, to Selection, env adapter.Envelope) ([]Args, error)

	// Changed is called when a socket of this node has joined a room (by is 1) or left it
	// (by is -1). It must not block.
	Changed(namespace, room string, by int)
}

// shared calls fn with the bridge, unless there is none or the target is limited to this
// node.
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

// ofBridge asks the bridge concurrently with the other nodes. The caller must call the
// returned function, which waits for the result.
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

// Local gives a [Bridge] access to the sockets of this node. In selections, names that a
// module has reserved are ignored, except users' rooms. The methods do not wait for clients
// and are safe for concurrent use.
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

// Rooms returns a socket's rooms as a bridge knows them, including its user's room.
func (l Local) Rooms(s *Socket) []string { return append(s.Rooms(), userRoom(s.UserID())) }

// Emit sends an event. It returns an error if a program may not send the event.
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
// acknowledge it, and reply for each acknowledgement. It returns when all have come or when
// ctx ends. Its errors are those of Emit.
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

// tellOwnRooms tells the bridge that the socket has joined or left its own rooms. s.mu is
// held.
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

// tellBridge tells the bridge that the socket has joined a room of o (by is 1) or left it
// (by is -1).
func (s *Socket) tellBridge(o *adapter.Owner, room string, by int) {
	if b := s.session.gateway.deps.Bridge; b != nil && o == s.program() {
		b.Changed(s.namespace.name, room, by)
	}
}

// isUserRoom reports whether a bridge's room is that of a user.
func isUserRoom(room string) bool { return strings.HasPrefix(room, userRoom("")) }
