package adapter

import (
	"slices"
	"sync"
	"sync/atomic"
)

// rooms knows which sockets of this node are in which room.
type rooms struct {
	mu    sync.RWMutex
	byKey map[string]*room
}

// fewSockets is how many sockets a room finds without an index: most rooms are
// one user's.
const fewSockets = 8

// room is the sockets that receive what is sent to one name, in the order in
// which they came as far as others have not left: those that came one after
// the other are near each other in memory, which a broadcast gains from.
type room struct {
	list  []Socket
	lent  atomic.Bool    // readers may have the list: it is not modified any more
	index map[Socket]int // places in the list; nil while it is short
}

// add reports whether s is new in the room.
func (r *room) add(s Socket) bool {
	if _, in := r.find(s); in {
		return false
	}
	r.own(1)
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

// remove reports whether s was in the room. The last socket takes its place.
func (r *room) remove(s Socket) bool {
	i, in := r.find(s)
	if !in {
		return false
	}
	r.own(0)
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

func (r *room) find(s Socket) (place int, in bool) {
	if r.index != nil {
		place, in = r.index[s]
		return place, in
	}
	place = slices.Index(r.list, s)
	return place, place >= 0
}

// own makes the list one that no reader has, with space for more.
func (r *room) own(more int) {
	if r.lent.Load() {
		r.list = append(make([]Socket, 0, len(r.list)+more), r.list...)
		r.lent.Store(false)
	}
}

func newRooms() *rooms { return &rooms{byKey: make(map[string]*room)} }

// add puts s into the room called key. It reports whether s is new there.
func (r *rooms) add(key string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byKey[key]
	if rm == nil {
		rm = new(room)
		r.byKey[key] = rm
	}
	return rm.add(s)
}

// remove takes s out of the room called key. It reports whether s was there.
func (r *rooms) remove(key string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byKey[key]
	if rm == nil || !rm.remove(s) {
		return false
	}
	if len(rm.list) == 0 {
		delete(r.byKey, key)
	}
	return true
}

// sockets returns the room's sockets. The slice is shared: read it only.
func (r *rooms) sockets(key string) []Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rm := r.byKey[key]
	if rm == nil {
		return nil
	}
	rm.lent.Store(true)
	return rm.list
}
