package adapter

import (
	"slices"
	"sync"
	"sync/atomic"
)

// fewSockets is the size up to which a set has no index. Most rooms hold the sockets of one
// user.
const fewSockets = 8

// SocketSet is a set of sockets that is read much more often than it is changed. The
// sockets are in joining order; when one is removed, the last one moves to its place.
// Sockets that joined together are close in memory, which makes broadcasts faster. Several
// goroutines may call Sockets and Len together, but nothing else may run beside Add and
// Remove. The zero value is empty.
type SocketSet struct {
	list   []Socket
	shared atomic.Bool    // a reader may use the list: copy it before a change
	index  map[Socket]int // positions in the list; nil for a short list
}

// Add adds s. It reports whether s is new.
func (r *SocketSet) Add(s Socket) bool {
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

// Remove removes s. It reports whether s was in the set.
func (r *SocketSet) Remove(s Socket) bool {
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

// Sockets returns the sockets. Do not modify the slice: it is shared. It stays as it is when
// the set changes.
func (r *SocketSet) Sockets() []Socket {
	r.shared.Store(true)
	return r.list
}

// Len returns the number of sockets.
func (r *SocketSet) Len() int { return len(r.list) }

func (r *SocketSet) find(s Socket) (at int, in bool) {
	if r.index != nil {
		at, in = r.index[s]
		return at, in
	}
	at = slices.Index(r.list, s)
	return at, at >= 0
}

// unshare copies the list if a reader may use it, with space for more sockets.
func (r *SocketSet) unshare(more int) {
	if r.shared.Load() {
		r.list = append(make([]Socket, 0, len(r.list)+more), r.list...)
		r.shared.Store(false)
	}
}

// rooms holds the sockets of this node by room.
type rooms struct {
	mu     sync.RWMutex
	byName map[string]*SocketSet
}

func newRooms() *rooms { return &rooms{byName: make(map[string]*SocketSet)} }

// add adds s to a room. It reports whether s is new there.
func (r *rooms) add(name string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byName[name]
	if rm == nil {
		rm = new(SocketSet)
		r.byName[name] = rm
	}
	return rm.Add(s)
}

// remove removes s from a room. It reports whether s was there.
func (r *rooms) remove(name string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byName[name]
	if rm == nil || !rm.Remove(s) {
		return false
	}
	if rm.Len() == 0 {
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
	return rm.Sockets()
}
