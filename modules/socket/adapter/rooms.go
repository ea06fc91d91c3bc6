package adapter

import (
	"slices"
	"sync"
)

// rooms knows which sockets of this node are in which room.
type rooms struct {
	mu    sync.RWMutex
	byKey map[string]*room
}

// fewSockets is how many sockets a room holds in a list alone: most rooms are
// one user's.
const fewSockets = 8

// room is the sockets that receive what is sent to one name.
type room struct {
	list  []Socket            // never modified: shared with readers; nil: rebuild it from index
	index map[Socket]struct{} // nil while the list is short
}

// add reports whether s is new in the room.
func (r *room) add(s Socket) bool {
	switch {
	case r.index != nil:
		if _, in := r.index[s]; in {
			return false
		}
		r.index[s], r.list = struct{}{}, nil
	case slices.Contains(r.list, s):
		return false
	case len(r.list) < fewSockets:
		list := make([]Socket, 0, len(r.list)+1)
		r.list = append(append(list, r.list...), s)
	default:
		r.index = map[Socket]struct{}{s: {}}
		for _, other := range r.list {
			r.index[other] = struct{}{}
		}
		r.list = nil
	}
	return true
}

// remove reports whether s was in the room.
func (r *room) remove(s Socket) bool {
	if r.index != nil {
		if _, in := r.index[s]; !in {
			return false
		}
		delete(r.index, s)
		r.list = nil
		return true
	}
	i := slices.Index(r.list, s)
	if i < 0 {
		return false
	}
	r.list = slices.Concat(r.list[:i], r.list[i+1:])
	return true
}

func (r *room) empty() bool { return len(r.index) == 0 && len(r.list) == 0 }

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
	if rm.empty() {
		delete(r.byKey, key)
	}
	return true
}

// sockets returns the room's sockets. The slice is shared: read it only.
func (r *rooms) sockets(key string) []Socket {
	r.mu.RLock()
	rm := r.byKey[key]
	if rm == nil {
		r.mu.RUnlock()
		return nil
	}
	list := rm.list
	r.mu.RUnlock()
	if list != nil {
		return list
	}
	return r.snapshot(key)
}

func (r *rooms) snapshot(key string) []Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byKey[key]
	if rm == nil {
		return nil
	}
	if rm.list == nil {
		list := make([]Socket, 0, len(rm.index))
		for s := range rm.index {
			list = append(list, s)
		}
		rm.list = list
	}
	return rm.list
}
