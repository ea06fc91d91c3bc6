package redisadapter

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxMarks  = 64  // senders remembered for one room
	maxRecent = 256 // numbers of one sender remembered while envelopes come over two servers
)

// marks record which envelopes were received in each room, over all servers.
type marks struct {
	ways atomic.Int32 // number of servers that envelopes come over

	mu    sync.Mutex
	rooms map[string][]mark
}

// mark records which envelopes of one sender were received in a room.
type mark struct {
	sender, number uint64  // number is the highest one received
	recent         *recent // if nil, all numbers up to number count as received
}

// recent holds the last numbers that came over two servers. Each server keeps the order,
// but one may be behind the other. So an envelope that was sent over one server only may
// come after newer ones.
type recent struct {
	floor   uint64   // numbers up to this count as received
	numbers []uint64 // received numbers above floor, sorted
}

// add records a number, and reports whether it is new.
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

// accept reports whether an envelope is new. With one server, it is new if the sender has
// sent nothing later to the room. A server that hung may deliver old envelopes late.
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

// forget drops the marks of a room.
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
		m.recent = nil // a single server keeps the order
	}
	m.number = max(m.number, number)
	if m.recent == nil {
		return newest
	}
	return m.recent.add(number)
}
