package adapter

import (
	"slices"
	"sync"
	"sync/atomic"
)

// rooms holds the sockets of this node by room.
type rooms struct {
	mu     sync.RWMutex
	byName map[string]*room
}

// fewSockets is the size up to which a room has no index. Most rooms hold the sockets of
// one user.
const fewSockets = 8

// room holds the sockets of one room in joining order. When a socket leaves, the last one
// moves to its place. Sockets that joined together are close in memory, which makes
// broadcasts faster.
type room struct {
	list   []Socket
	shared atomic.Bool    // a reader may use the list: copy it before a change
	index  map[Socket]int // positions in the list; nil for a short list
}

// add reports whether s is new to the room.
func (r *room) add(s Socket) bool {
	if _, in := r.find(s); in {
		return false
	}
	r.unshare(1)
	r.list = append(r.list, s)
	switch {
	case r.index != nil:
		r.index[s] = len(r.list) - 1
	case len(r.list) > fewSockets:
		r.index = make(map[Socket]int, 2*len(r.list))
		for i, member := range r.list {
			r.index[member] = i
		}
	}
	return true
}

// remove reports whether s was in the room.
func (r *room) remove(s Socket) bool {
	i, in := r.find(s)
	if !in {
		return false
	}
	r.unshare(0)
	last := len(r.list) - 1
	r.list[i] = r.list[last]
	if r.index != nil {
		r.index[r.list[i]] = i
		delete(r.index, s)
	}
	r.list[last] = nil
	r.list = r.list[:last]
	return true
}

func (r *room) find(s Socket) (at int, in bool) {
	if r.index != nil {
		at, in = r.index[s]
		return at, in
	}
	at = slices.Index(r.list, s)
	return at, at >= 0
}

// unshare copies the list if a reader may use it, with space for more sockets.
func (r *room) unshare(more int) {
	if r.shared.Load() {
		r.list = append(make([]Socket, 0, len(r.list)+more), r.list...)
		r.shared.Store(false)
	}
}

func newRooms() *rooms { return &rooms{byName: make(map[string]*room)} }

// add adds s to a room. It reports whether s is new there.
func (r *rooms) add(name string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byName[name]
	if rm == nil {
		rm = new(room)
		r.byName[name] = rm
	}
	return rm.add(s)
}

// remove removes s from a room. It reports whether s was there.
func (r *rooms) remove(name string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byName[name]
	if rm == nil || !rm.remove(s) {
		return false
	}
	if len(rm.list) == 0 {
		delete(r.byName, name)
	}
	return true
}

// sockets returns the room's sockets. Do not modify the slice: it is shared.
func (r *rooms) sockets(name string) []Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rm := r.byName[name]
	if rm == nil {
		return nil
	}
	rm.shared.Store(true)
	return rm.list
}
