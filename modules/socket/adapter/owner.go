package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Owner is a module's access to a [Hub], limited to the names that the module has reserved
// with [Hub.Reserve]. The program's Owner, which the Hub embeds, has all other names. An
// Owner can join, watch and send to its own rooms only. It can send its own events and the
// program's. An Owner is safe for concurrent use, but call [Owner.Intercept] before the hub
// starts.
type Owner struct {
	hub          *Hub
	names        *Names
	interceptors map[string]func(Envelope)
}

// Reserve reserves names for a module. Call it before the hub starts. It returns an error
// for an empty prefix, and if a name would have two owners.
//
// The pointer identifies the module: if Reserve is called again with the same pointer, it
// returns the same Owner, also after the start.
func (h *Hub) Reserve(names *Names) (*Owner, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.modules {
		if o.names == names {
			return o, nil
		}
	}
	if h.started {
		return nil, errors.New("adapter: names must be reserved before the hub starts")
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

// ownerOf returns the owner of a name.
func (h *Hub) ownerOf(k kind, name string) *Owner {
	for _, o := range h.modules {
		if o.names.owns(k, name) {
			return o
		}
	}
	return h.Owner
}

// CheckRoom returns a [ReservedError] for a room of another owner.
func (o *Owner) CheckRoom(room string) error {
	if owner := o.hub.ownerOf(roomNames, room); owner != o {
		return owner.names.refusal(roomNames, room)
	}
	return nil
}

// CheckEvent returns a [ReservedError] for an event that is neither the owner's nor the
// program's.
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

// Intercept passes the envelopes that other nodes send to the owner's rooms under one event
// to fn, instead of to the rooms' sockets. The event must be the owner's or the program's.
// Without an interceptor, a module's event from another node is dropped. fn must not block.
func (o *Owner) Intercept(event string, fn func(Envelope)) { o.interceptors[event] = fn }

// Join adds s to a room. Envelopes of other nodes arrive soon afterwards. If none may be
// missed, call [Owner.Watch] first. The error is a [ReservedError].
func (o *Owner) Join(room string, s Socket) error {
	if err := o.CheckRoom(room); err != nil {
		return err
	}
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	if o.hub.rooms.add(room, s) {
		o.hub.addInterestLocked(room)
	}
	return nil
}

// Leave removes s from a room. It does nothing for a room of another owner.
func (o *Owner) Leave(room string, s Socket) {
	if o.CheckRoom(room) != nil {
		return
	}
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	if o.hub.rooms.remove(room, s) {
		o.hub.removeInterestLocked(room)
	}
}

// JoinLocal adds s to a room of the owner that exists on this node only.
func (o *Owner) JoinLocal(room string, s Socket) {
	if o.CheckRoom(room) == nil {
		o.hub.rooms.add(room, s)
	}
}

// LeaveLocal removes s from such a room.
func (o *Owner) LeaveLocal(room string, s Socket) {
	if o.CheckRoom(room) == nil {
		o.hub.rooms.remove(room, s)
	}
}

// Sockets returns this node's sockets in a room, whoever owns it. The slice is shared: do
// not modify it.
func (o *Owner) Sockets(room string) []Socket { return o.hub.rooms.sockets(room) }

// Watch subscribes this node to a room without a socket, and waits up to a second until
// envelopes arrive. After a [ReservedError], nothing is watched. After any other error,
// envelopes arrive once the adapter is healthy, and the caller must still call
// [Owner.Unwatch], as after success.
func (o *Owner) Watch(ctx context.Context, room string) error {
	if err := o.CheckRoom(room); err != nil {
		return err
	}
	o.hub.mu.Lock()
	ready := o.hub.addInterestLocked(room)
	o.hub.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unwatch ends one [Owner.Watch].
func (o *Owner) Unwatch(room string) {
	if o.CheckRoom(room) != nil {
		return
	}
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	o.hub.removeInterestLocked(room)
}

// Emit sends env to its room on all nodes, to this node's sockets first. It waits until the
// adapter has published env. If it returns an error other than a [ReservedError], this
// node's sockets were sent env, but other nodes may not have been reached.
func (o *Owner) Emit(ctx context.Context, env Envelope) error {
	if err := o.check(env); err != nil {
		return err
	}
	o.hub.sendLocal(env)
	return o.hub.adapter.Publish(ctx, env)
}

// Publish is [Owner.Emit] to the other nodes only.
func (o *Owner) Publish(ctx context.Context, env Envelope) error {
	if err := o.check(env); err != nil {
		return err
	}
	return o.hub.adapter.Publish(ctx, env)
}

// Cast is [Owner.Emit] for envelopes that may be lost. It reports no error, and does not
// wait for the adapter unless too many envelopes are being published. It sends to other
// nodes first, so that they receive env while this node's sockets are written to.
func (o *Owner) Cast(ctx context.Context, env Envelope) { o.cast(ctx, env, o.hub.sendLocal) }

// CastQueued is [Owner.Cast] for a caller that also serves other rooms: it does not wait
// while a large room is written to. See [Owner.EmitLocalQueued].
func (o *Owner) CastQueued(ctx context.Context, env Envelope) { o.cast(ctx, env, o.hub.queueLocal) }

func (o *Owner) cast(ctx context.Context, env Envelope, local func(Envelope)) {
	if o.check(env) != nil {
		return
	}
	sent := o.hub.adapter.Cast(ctx, env)
	local(env)
	if !sent {
		_ = o.hub.adapter.Publish(ctx, env)
	}
}

// EmitLocal sends env to this node's sockets only. When it returns, they have been sent
// env. It drops an envelope with another owner's names.
func (o *Owner) EmitLocal(env Envelope) {
	if o.check(env) == nil {
		o.hub.sendLocal(env)
	}
}

// EmitLocalQueued is [Owner.EmitLocal] for envelopes of other nodes. If the room is large,
// it does not wait: the room's goroutine sends env after earlier envelopes. A room's queue
// holds 256 envelopes. Further ones are dropped and counted by [Hub.Overflow].
func (o *Owner) EmitLocalQueued(env Envelope) {
	if o.check(env) == nil {
		o.hub.queueLocal(env)
	}
}
