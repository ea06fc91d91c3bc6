package adapter

import "sync"

// rooms knows which sockets of this node are in which room.
type rooms struct {
	mu    sync.RWMutex
	byKey map[string]*room
}

// room is the sockets that receive what is sent to one name.
type room struct {
	index map[Socket]struct{}
	list  []Socket // a snapshot of index, shared with readers; nil: rebuild it
}

func newRooms() *rooms { return &rooms{byKey: make(map[string]*room)} }

// add puts s into the room called key. It reports whether s is new there.
func (r *rooms) add(key string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byKey[key]
	if rm == nil {
		rm = &room{index: make(map[Socket]struct{})}
		r.byKey[key] = rm
	}
	if _, in := rm.index[s]; in {
		return false
	}
	rm.index[s] = struct{}{}
	rm.list = nil
	return true
}

// remove takes s out of the room called key. It reports whether s was there.
func (r *rooms) remove(key string, s Socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.byKey[key]
	if rm == nil {
		return false
	}
	if _, in := rm.index[s]; !in {
		return false
	}
	delete(rm.index, s)
	rm.list = nil
	if len(rm.index) == 0 {
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
