package redisadapter

import "sync"

// interests holds the wished-for state, which Subscribe and Unsubscribe
// change, and how far the current connection has followed it. A command's
// confirmations arrive in the order of the commands, so a room has its wished
// state once none is outstanding and the last one sent was the right one.
type interests struct {
	wake chan struct{} // a room was added to changed

	mu      sync.Mutex
	rooms   map[string]*interest
	changed map[string]*interest // those whose wish differs from what was sent
}

// interest is one room's state.
type interest struct {
	wanted      bool
	subscribed  bool // by the last command sent on this connection
	outstanding int  // commands sent and not yet confirmed
	open        bool // ready is not yet closed
	ready       chan struct{}
	senders     []mark
}

// mark is the last number that a sender's envelopes had in a room.
type mark struct{ sender, number uint64 }

// maxMarks bounds how many senders a room remembers.
const maxMarks = 64

func newInterests() *interests {
	return &interests{wake: make(chan struct{}, 1), rooms: make(map[string]*interest), changed: make(map[string]*interest)}
}

// want begins an interest.
func (s *interests) want(room string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.rooms[room]
	if in == nil {
		in = &interest{}
		s.rooms[room] = in
	}
	if !in.wanted {
		in.wanted = true
		if !in.open {
			in.ready, in.open = make(chan struct{}), true
		}
		in.settle() // a room that was to be left, but was not yet, is simply kept
		s.changeLocked(room, in)
	}
	return in.ready
}

// unwant ends an interest.
func (s *interests) unwant(room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.rooms[room]
	if in == nil || !in.wanted {
		return
	}
	in.wanted = false
	s.changeLocked(room, in)
	s.forgetLocked(room, in)
}

// changeLocked notes whether there is a command to send for a room.
func (s *interests) changeLocked(room string, in *interest) {
	if in.wanted == in.subscribed {
		delete(s.changed, room)
		return
	}
	s.changed[room] = in
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// forgetLocked drops a room that nobody wants and the server does not know.
func (s *interests) forgetLocked(room string, in *interest) {
	if !in.wanted && !in.subscribed && in.outstanding == 0 {
		delete(s.rooms, room)
	}
}

// settle closes ready if what is wanted is so.
func (in *interest) settle() {
	if in.open && in.wanted && in.subscribed && in.outstanding == 0 {
		close(in.ready)
		in.open = false
	}
}

// take returns up to limit rooms to subscribe to and to leave, and notes that
// the commands are sent. It returns none when the connection follows the wish.
func (s *interests) take(limit int) (subscribe, leave []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room, in := range s.changed {
		if len(subscribe)+len(leave) == limit {
			break
		}
		delete(s.changed, room)
		in.subscribed = in.wanted
		in.outstanding++
		if in.wanted {
			subscribe = append(subscribe, room)
		} else {
			leave = append(leave, room)
		}
	}
	return subscribe, leave
}

// confirm notes that the server has followed one command for a room.
func (s *interests) confirm(room string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.rooms[room]
	if in == nil || in.outstanding == 0 {
		return
	}
	in.outstanding--
	in.settle()
	s.forgetLocked(room, in)
}

// restart forgets what was sent: a new connection has no subscriptions. All
// that is wanted is to be sent again.
func (s *interests) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room, in := range s.rooms {
		in.subscribed, in.outstanding = false, 0
		s.changeLocked(room, in)
		s.forgetLocked(room, in)
	}
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
	for i := range in.senders {
		if m := &in.senders[i]; m.sender == h.sender {
			if h.number <= m.number {
				return false
			}
			m.number = h.number
			return true
		}
	}
	if len(in.senders) == maxMarks {
		in.senders = append(in.senders[:0], in.senders[1:]...)
	}
	in.senders = append(in.senders, mark(h))
	return true
}

// len returns how many rooms are wanted or still to be left.
func (s *interests) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rooms)
}
