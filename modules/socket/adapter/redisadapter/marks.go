package redisadapter

import "slices"

const (
	maxMarks  = 64  // senders that a room remembers
	maxRecent = 256 // numbers that are remembered of a sender while the role moves
)

// mark is what was received from a sender in a room.
type mark struct {
	sender, number uint64  // number: the highest
	recent         *recent // while there are two ways, nil: all up to number
}

// recent are the last numbers that came over two ways. Each keeps the order,
// but one may be behind the other, and an envelope may have gone over one of
// them alone: then it comes after newer ones.
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

// accept reports whether an envelope is to be delivered: its room is wanted,
// and it is newer than what this sender sent to the room before. Late ones
// exist: a server that hung reads what a broken connection left behind.
func (s *interests) accept(room string, h header) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.rooms[room]
	if in == nil || !in.wanted {
		return false
	}
	two := !slices.Contains(s.followers[:], nil)
	for i := range in.senders {
		if in.senders[i].sender == h.sender {
			return in.senders[i].accept(h.number, two)
		}
	}
	if len(in.senders) == maxMarks {
		in.senders = append(in.senders[:0], in.senders[1:]...)
	}
	m := mark{sender: h.sender, number: h.number}
	if two {
		m.recent = &recent{numbers: []uint64{h.number}}
	}
	in.senders = append(in.senders, m)
	return true
}

func (m *mark) accept(number uint64, two bool) bool {
	newest := number > m.number
	switch {
	case two && m.recent == nil:
		m.recent = &recent{floor: m.number}
	case !two && newest:
		m.recent = nil // what comes over one way from now on is in order
	}
	m.number = max(m.number, number)
	if m.recent == nil {
		return newest
	}
	return m.recent.add(number)
}
