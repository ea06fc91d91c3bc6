package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/nodes"
)

// Target is a set of sockets on all nodes. Its methods that return a Target narrow it or
// change how it is sent to. They do not change the original. A Target may be kept and used
// concurrently.
//
// Errors are an [adapter.ReservedError] for a room or an event that a module has reserved,
// and an error for arguments that cannot be encoded. After any other error, this node's
// sockets were reached, but sockets of other nodes may not have been.
type Target struct {
	emitter *Emitter
	user    string // only sockets of this user
	sender  string // id of a socket to leave out
	local   bool
	lossy   bool
	bridged bool // include users' rooms

	// These fields are sent to other nodes.
	Namespace string   `json:"namespace"`
	Rooms     []string `json:"rooms,omitempty"` // all sockets if empty
	Without   []string `json:"without,omitempty"`
}

// To adds the sockets in rooms. A target without rooms has all sockets.
func (t Target) To(rooms ...string) Target {
	t.Rooms = slices.Concat(t.Rooms, rooms)
	return t
}

// Except removes the sockets in rooms. A socket's id is its own room.
func (t Target) Except(rooms ...string) Target {
	t.Without = slices.Concat(t.Without, rooms)
	return t
}

// Local limits the target to sockets of this node.
func (t Target) Local() Target {
	t.local = true
	return t
}

// Volatile drops the events for sockets whose clients cannot take them at once.
func (t Target) Volatile() Target {
	t.lossy = true
	return t
}

// To returns the other sockets of the namespace that are in any of the rooms, on all nodes.
// Without rooms, it returns all other sockets.
func (s *Socket) To(rooms ...string) Target {
	t := s.session.gateway.emitter.All().To(rooms...)
	t.Namespace, t.sender = s.namespace.name, s.id
	return t
}

// Emit sends an event. Events that one goroutine emits to one room arrive in order. Events
// to several rooms, or with exceptions, may arrive out of order.
func (t Target) Emit(ctx context.Context, event string, args ...any) error {
	if err := t.check(); err != nil {
		return err
	}
	env, err := encodeEvent(t.emitter.hub.Owner, event, args)
	if err != nil {
		return err
	}
	if env.Volatile = t.lossy; !t.lossy {
		env.Offset = t.emitter.recovery.Offset()
	}
	if owner, room, ok := t.oneRoom(); ok {
		env.Room, env.Except = room, t.sender
		if t.local {
			owner.EmitLocal(env)
			return nil
		}
		err = owner.Emit(ctx, env)
	} else {
		adapter.Send([]*adapter.Message{adapter.NewMessage(env)}, t.members()...)
		err = t.publish(ctx, eventEmit, request{Event: event}, env)
	}
	return errors.Join(err, t.shared(func(b Bridge, to Selection) error { return b.Emit(ctx, to, env) }))
}

// Join adds the sockets to rooms. It waits up to a second for the other nodes. When it
// returns nil, events that are emitted to the rooms reach the sockets. It returns an
// [ErrIncomplete] if some nodes did not answer. An emitter without a gateway does not wait.
func (t Target) Join(ctx context.Context, rooms ...string) error {
	return t.change(ctx, eventJoin, rooms)
}

// Leave removes the sockets from rooms. It waits like Join.
func (t Target) Leave(ctx context.Context, rooms ...string) error {
	return t.change(ctx, eventLeave, rooms)
}

// Disconnect removes the clients from the namespace: see [Socket.Disconnect]. It waits like
// Join.
func (t Target) Disconnect(ctx context.Context) error { return t.change(ctx, eventRemove, nil) }

// change applies a change to this node's sockets and asks other nodes to do the same.
func (t Target) change(ctx context.Context, event string, rooms []string) error {
	if err := t.check(); err != nil {
		return err
	}
	for _, room := range rooms {
		if err := t.emitter.hub.CheckRoom(room); err != nil {
			return err
		}
	}
	t.apply(event, rooms)
	err := t.changeOthers(ctx, event, rooms)
	return errors.Join(err, t.shared(func(b Bridge, to Selection) error {
		switch event {
		case eventJoin:
			return b.Join(ctx, to, rooms)
		case eventLeave:
			return b.Leave(ctx, to, rooms)
		default:
			return b.Disconnect(ctx, to, false)
		}
	}))
}

// changeOthers has the other nodes apply a change, and waits until they have.
func (t Target) changeOthers(ctx context.Context, event string, rooms []string) error {
	if t.emitter.nodes == nil {
		return t.publish(ctx, event, request{Change: rooms}, adapter.Envelope{})
	}
	ctx, cancel := context.WithTimeout(ctx, maxReporting)
	defer cancel()
	_, _, err := t.ask(ctx, event, request{Change: rooms}, adapter.Envelope{})()
	return err
}

// apply changes this node's sockets.
func (t Target) apply(event string, rooms []string) {
	for _, m := range t.members() {
		s := socketOf(m)
		for _, room := range rooms {
			if event == eventJoin {
				_ = s.Join(room) // the names are checked; a socket in too many rooms is skipped
			} else {
				_ = s.Leave(room)
			}
		}
		if event == eventRemove {
			s.Disconnect(false)
		}
	}
}

// check returns an error for rooms that a module has reserved.
func (t Target) check() error {
	if t.emitter.err != nil {
		return t.emitter.err
	}
	n := &namespace{name: t.Namespace}
	for _, room := range slices.Concat(t.Rooms, t.Without) {
		if _, err := n.room(t.emitter.hub.Owner, room); err != nil {
			return err
		}
	}
	return nil
}

// oneRoom returns the hub's room that equals the target, if there is one. Then only nodes
// with sockets in the room are sent to.
func (t Target) oneRoom() (owner *adapter.Owner, room string, ok bool) {
	switch {
	case len(t.Without) > 0:
	case t.user != "" && len(t.Rooms) == 0:
		return t.emitter.own, userRoom(t.user), true
	case len(t.Rooms) == 1 && len(t.Rooms[0]) != idLength:
		room, _ = (&namespace{name: t.Namespace}).room(t.emitter.hub.Owner, t.Rooms[0])
		return t.emitter.hub.Owner, room, true
	}
	return nil, "", false
}

// idLength is the length of a socket's id.
const idLength = 20

// present returns this node's sockets of the target whose clients are connected.
func (t Target) present() []adapter.Socket {
	return slices.DeleteFunc(t.members(), func(m adapter.Socket) bool { return socketOf(m).state.Load() == closed })
}

// members returns this node's sockets of the target, including parked ones.
func (t Target) members() []adapter.Socket {
	without := make(map[*Socket]bool)
	for _, room := range t.Without {
		for _, m := range t.inRoom(room) {
			without[socketOf(m)] = true
		}
	}
	var all []adapter.Socket
	if len(t.Rooms) == 0 && t.user == "" {
		all = t.emitter.own.Sockets(allRoom(t.Namespace))
	}
	if t.user != "" {
		all = t.emitter.own.Sockets(userRoom(t.user))
	}
	for _, room := range t.Rooms {
		all = slices.Concat(all, t.inRoom(room))
	}
	seen := make(map[*Socket]bool, len(all))
	var members []adapter.Socket
	for _, m := range all {
		s := socketOf(m)
		if s == nil || s.namespace.name != t.Namespace || without[s] || seen[s] || s.id == t.sender {
			continue
		}
		seen[s] = true
		members = append(members, member{s})
	}
	return members
}

// inRoom returns this node's sockets in a room of the namespace.
func (t Target) inRoom(room string) []adapter.Socket {
	name, err := (&namespace{name: t.Namespace}).room(t.emitter.hub.Owner, room)
	if t.bridged && isUserRoom(room) {
		of := t.emitter.own.Sockets(room)
		if err != nil {
			return of
		}
		return slices.Concat(of, t.emitter.own.Sockets(name)) // other namespaces may have a room of this name
	}
	if err != nil {
		return nil
	}
	return slices.Concat(t.emitter.own.Sockets(name), t.emitter.own.Sockets(idRoom(room)))
}

// Requests between nodes are envelopes for [nodes.Room].
const (
	eventEmit   = "socket:emit"
	eventJoin   = "socket:join"
	eventLeave  = "socket:leave"
	eventRemove = "socket:remove"
	eventFetch  = "socket:fetch"
	eventAsk    = "socket:ask"
)

// request is sent to other nodes.
type request struct {
	Target
	User   string   `json:"user,omitempty"`
	Sender string   `json:"sender,omitempty"`
	Event  string   `json:"event,omitempty"`  // to emit
	Change []string `json:"change,omitempty"` // rooms to join or leave

	Detailed bool `json:"detailed,omitempty"` // of the report

	// Set if the node must answer.
	From     string        `json:"from,omitempty"` // the node that asks
	Question string        `json:"question,omitempty"`
	Patience time.Duration `json:"patience,omitempty"` // how long it waits for its clients
}

// publish sends a request to the other nodes.
func (t Target) publish(ctx context.Context, event string, r request, env adapter.Envelope) error {
	if t.local {
		return nil
	}
	r.Target, r.User, r.Sender = t, t.user, t.sender
	meta, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a request to other nodes: %w", err)
	}
	env.Room, env.Event, env.Meta = nodes.Room, event, string(meta)
	return t.emitter.own.Publish(ctx, env)
}

// serve handles the requests of other nodes.
func (e *Emitter) serve() {
	for _, event := range []string{eventEmit, eventJoin, eventLeave, eventRemove, eventFetch, eventAsk, eventStatus} {
		e.own.Intercept(event, func(env adapter.Envelope) { e.nodes.Serve(func() { e.handle(event, env) }) })
	}
}

// handle handles one request of another node.
func (e *Emitter) handle(event string, env adapter.Envelope) {
	var r request
	if json.Unmarshal([]byte(env.Meta), &r) != nil {
		return // not written by a node
	}
	t := r.Target
	t.emitter, t.user, t.sender, t.lossy = e, r.User, r.Sender, env.Volatile
	if t.check() != nil {
		return
	}
	env.Event = r.Event
	switch event {
	case eventEmit:
		adapter.Send([]*adapter.Message{adapter.NewMessage(env)}, t.members()...)
	case eventStatus:
		e.nodes.Run(func(ctx context.Context) { e.nodes.Answer(ctx, r.From, r.Question, []any{e.report(r.Detailed)}) })
	case eventFetch:
		found := encoded(t.describe())
		e.nodes.Run(func(ctx context.Context) { e.nodes.Answer(ctx, r.From, r.Question, found) })
	case eventAsk:
		e.nodes.Run(func(ctx context.Context) {
			clients, cancel := context.WithTimeout(ctx, r.Patience)
			defer cancel()
			e.nodes.Answer(ctx, r.From, r.Question, encoded(t.collect(clients, env)))
		})
	default:
		t.apply(event, r.Change)
		if r.Question != "" {
			e.nodes.Run(func(ctx context.Context) {
				t.awaitRooms(ctx, event, r.Change)
				e.nodes.Answer(ctx, r.From, r.Question, nil)
			})
		}
	}
}

// awaitRooms waits until events from other nodes to the joined rooms reach this node.
func (t Target) awaitRooms(ctx context.Context, event string, rooms []string) {
	if event == eventJoin && len(t.present()) > 0 {
		awaitRooms(ctx, t.emitter.hub.Owner, &namespace{name: t.Namespace}, rooms)
	}
}

// awaitRooms waits until events from other nodes to rooms of the program reach this node.
func awaitRooms(ctx context.Context, program *adapter.Owner, n *namespace, rooms []string) {
	for _, room := range rooms {
		if name, err := n.room(program, room); err == nil {
			_ = program.Watch(ctx, name) // it waits at most a second
			program.Unwatch(name)
		}
	}
}
