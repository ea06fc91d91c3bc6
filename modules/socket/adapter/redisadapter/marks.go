package redisadapter

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxMarks  = 64  // senders that a room remembers at most
	maxRecent = 256 // numbers of a sender that are remembered while they come over two servers
)

// marks are what was received in each room, over any server.
type marks struct {
	ways atomic.Int32 // servers that envelopes come over

	mu    sync.Mutex
	rooms map[string][]mark
}

// mark is what was received from a sender in a room.
type mark struct {
	sender, number uint64  // number: the highest one received
	recent         *recent // nil: all numbers up to the highest count as received
}

// recent are the last numbers that came over two servers. Each server keeps
// the order, but one may be behind the other. An envelope that went over one
// of them alone may therefore come after newer ones.
type recent struct {
	floor   uint64   // numbers up to here count as received
	numbers []uint64 // above the floor, received; sorted
}

// add reports whether a number is new.
func (r *recent) add(number uint64) bool {
	if number <= r.floor {
		return false
	}
	i, found := slices.BinarySearch(r.numbers, number)
	if found {
		return false
	}
	r.numbers = slices.Insert(r.numbers, i, number)
	if len(r.numbers) > maxRecent {
		r.floor = r.numbers[0]
		r.numbers = append(r.numbers[:0], r.numbers[1:]...)
	}
	return true
}

// accept reports whether an envelope is new: the sender sent nothing newer to
// the room. A server that hung may send late what a broken connection left
// behind.
func (m *marks) accept(room string, h header) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	two := m.ways.Load() > 1
	senders := m.rooms[room]
	for i := range senders {
		if senders[i].sender == h.sender {
			return senders[i].accept(h.number, two)
		}
	}
	if len(senders) == maxMarks {
		senders = append(senders[:0], senders[1:]...)
	}
	next := mark{sender: h.sender, number: h.number}
	if two {
		next.recent = &recent{numbers: []uint64{h.number}}
	}
	m.rooms[room] = append(senders, next)
	return true
}

// forget drops what was received in a room.
func (m *marks) forget(room string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rooms, room)
}

func (m *mark) accept(number uint64, two bool) bool {
	newest := number > m.number
	switch {
	case two && m.recent == nil:
		m.recent = &recent{floor: m.number}
	case !two && newest:
		m.recent = nil // one server delivers in order
	}
	m.number = max(m.number, number)
	if m.recent == nil {
		return newest
	}
	return m.recent.add(number)
}
