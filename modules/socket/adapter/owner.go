package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Owner is the right to use some names of a [Hub]: those that a module has
// reserved, or the program's, which are all others. An owner joins, watches and
// sends to its own rooms only, and sends its own events or the program's. Its
// methods may be called concurrently, [Owner.Intercept] only before the hub
// starts.
type Owner struct {
	hub          *Hub
	names        *Names
	interceptors map[string]func(Envelope)
}

// Reserve makes names the module's that calls it, and returns the right to use
// them. Call it before the hub starts. It returns an error if a prefix is empty
// or if one name would have two owners.
//
// The pointer is the module's key: called again with it, Reserve returns the
// same Owner, at any time.
func (h *Hub) Reserve(names *Names) (*Owner, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.modules {
		if o.names == names {
			return o, nil
		}
	}
	if h.started {
		return nil, errors.New("adapter: names are reserved before the hub starts")
	}
	var errs []error
	for _, k := range []kind{roomNames, eventNames} {
		if slices.Contains(names.prefixes(k), "") {
			errs = append(errs, fmt.Errorf("adapter: %s cannot reserve all %ss", names.Owner, k))
		}
		for _, o := range h.modules {
			errs = append(errs, names.overlap(k, o.names))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	o := newOwner(h, names)
	h.modules = append(h.modules, o)
	return o, nil
}

func newOwner(h *Hub, names *Names) *Owner {
	return &Owner{hub: h, names: names, interceptors: make(map[string]func(Envelope))}
}

// ownerOf returns whom a name belongs to.
func (h *Hub) ownerOf(k kind, name string) *Owner {
	for _, o := range h.modules {
		if o.names.owns(k, name) {
			return o
		}
	}
	return h.Owner
}

// CheckRoom returns a [ReservedError] for a room that is not the owner's.
func (o *Owner) CheckRoom(room string) error {
	if owner := o.hub.ownerOf(roomNames, room); owner != o {
		return owner.names.refusal(roomNames, room)
	}
	return nil
}

// CheckEvent returns a [ReservedError] for an event that is neither the owner's
// nor the program's.
func (o *Owner) CheckEvent(event string) error {
	if owner := o.hub.ownerOf(eventNames, event); owner != o && owner != o.hub.Owner {
		return owner.names.refusal(eventNames, event)
	}
	return nil
}

func (o *Owner) check(env Envelope) error {
	if err := o.CheckRoom(env.Room); err != nil {
		return err
	}
	return o.CheckEvent(env.Event)
}

// Intercept makes fn receive what other nodes send to the owner's rooms under
// one event, instead of the rooms' sockets. The event is the owner's or the
// program's. A module's own event without an interceptor is dropped. fn must not
// block.
func (o *Owner) Intercept(event string, fn func(Envelope)) { o.interceptors[event] = fn }

// Join puts s into a room. Envelopes of other nodes begin to arrive soon
// after; use [Owner.Watch] first where none may be missed. The error is a
// [ReservedError].
func (o *Owner) Join(room string, s Socket) error {
	if err := o.CheckRoom(room); err != nil {
		return err
	}
	o.hub.join(room, s)
	return nil
}

// Leave takes s out of a room. It does nothing in a room of another owner.
func (o *Owner) Leave(room string, s Socket) {
	if o.CheckRoom(room) == nil {
		o.hub.leave(room, s)
	}
}

// Sockets returns this node's sockets in a room, whoever owns it. The slice is
// shared: read it only.
func (o *Owner) Sockets(room string) []Socket { return o.hub.rooms.sockets(room) }

// Watch begins an interest in a room's envelopes without a socket, and waits
// up to a second until they arrive. After an error they will arrive once the
// adapter is healthy, unless it is a [ReservedError]. Every Watch needs its
// [Owner.Unwatch].
func (o *Owner) Watch(ctx context.Context, room string) error {
	if err := o.CheckRoom(room); err != nil {
		return err
	}
	return o.hub.watch(ctx, room)
}

// Unwatch ends an interest that [Owner.Watch] began.
func (o *Owner) Unwatch(room string) {
	if o.CheckRoom(room) == nil {
		o.hub.unwatch(room)
	}
}

// Emit sends env to its room on every node: to this one's sockets first. An
// error that is no [ReservedError] speaks of the other nodes only.
func (o *Owner) Emit(ctx context.Context, env Envelope) error {
	if err := o.check(env); err != nil {
		return err
	}
	o.hub.local(env)
	return o.hub.adapter.Publish(ctx, env)
}

// Cast is Emit for what may be lost: it does not wait for the other nodes'
// server, unless too much is on its way, and nobody hears whether they were
// reached. They are sent to first, so that what takes time there begins while
// this node's sockets are served. It drops what Emit refuses.
func (o *Owner) Cast(ctx context.Context, env Envelope) {
	if o.check(env) != nil {
		return
	}
	sent := o.hub.adapter.Cast(ctx, env)
	o.hub.local(env)
	if !sent {
		_ = o.hub.adapter.Publish(ctx, env)
	}
}

// Tell is Cast for a caller who serves other rooms as well, and does not wait
// for a large one: see [Owner.Deliver].
func (o *Owner) Tell(ctx context.Context, env Envelope) {
	if o.check(env) != nil {
		return
	}
	sent := o.hub.adapter.Cast(ctx, env)
	o.hub.deliver(env)
	if !sent {
		_ = o.hub.adapter.Publish(ctx, env)
	}
}

// Publish sends env to the other nodes only. It refuses what Emit refuses.
func (o *Owner) Publish(ctx context.Context, env Envelope) error {
	if err := o.check(env); err != nil {
		return err
	}
	return o.hub.adapter.Publish(ctx, env)
}

// Local sends env to this node's sockets only. It drops what Emit refuses. When
// it returns each has been sent it, so that what is sent next follows.
func (o *Owner) Local(env Envelope) {
	if o.check(env) == nil {
		o.hub.local(env)
	}
}

// Deliver is Local for what comes from another node. Where the room is large it
// does not wait: a goroutine of the room sends env, after what came before. Too
// much that waits there is dropped, and counted by [Hub.Overflow].
func (o *Owner) Deliver(env Envelope) {
	if o.check(env) == nil {
		o.hub.deliver(env)
	}
}
