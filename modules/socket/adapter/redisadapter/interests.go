package redisadapter

import (
	"sync"

	"github.com/moim-live/moim/internal/tasks"
)

// interests holds the rooms that Subscribe and Unsubscribe ask for. The adapter changes its
// subscriptions accordingly. Confirmations arrive in the order of the commands. So a room
// has the wanted state once no command is outstanding and the last command was the right
// one.
type interests struct {
	shardOf func(room string) int
	shards  []*changes
	marks   *marks // its lock is taken while mu is held

	mu    sync.Mutex
	rooms map[string]*interest
}

// changes are the rooms of a shard for which a command is to be sent.
type changes struct {
	wake  chan struct{} // wakes the session: a change was added
	rooms map[string]*interest
}

// interest is one room's state.
type interest struct {
	wanted      bool
	waiting     []func() // called once the room is subscribed to
	subscribed  bool     // according to the last command sent on this connection
	outstanding int32    // commands that were sent but not confirmed
}

func newInterests(shards int, shardOf func(room string) int, m *marks) *interests {
	s := &interests{shardOf: shardOf, marks: m, rooms: make(map[string]*interest)}
	for range shards {
		s.shards = append(s.shards, &changes{wake: make(chan struct{}, 1), rooms: make(map[string]*interest)})
	}
	return s
}

// want begins an interest. It calls ready once the room is subscribed to, or at once if it
// already is.
func (s *interests) want(room string, ready func()) {
	s.mu.Lock()
	in := s.rooms[room]
	if in == nil {
		in = &interest{}
		s.rooms[room] = in
	}
	in.wanted = true
	in.waiting = append(in.waiting, ready)
	s.changeLocked(room, in)
	settled := in.settled()
	s.mu.Unlock()
	call(settled)
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

// forgetLocked drops a room that is neither wanted nor subscribed to.
func (s *interests) forgetLocked(room string, in *interest) {
	if !in.wanted && !in.subscribed && in.outstanding == 0 {
		delete(s.rooms, room)
		s.marks.forget(room)
	}
}

// settled returns the callbacks of a room if the server has subscribed it.
func (in *interest) settled() []func() {
	if !in.wanted || !in.subscribed || in.outstanding > 0 {
		return nil
	}
	waiting := in.waiting
	in.waiting = nil
	return waiting
}

func call(all []func()) {
	for _, fn := range all {
		fn()
	}
}

// len returns the number of rooms that are wanted or still subscribed to.
func (s *interests) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rooms)
}

// changeLocked records whether a command must be sent for a room.
func (s *interests) changeLocked(room string, in *interest) {
	shard := s.shards[s.shardOf(room)]
	if in.wanted == in.subscribed {
		delete(shard.rooms, room)
		return
	}
	shard.rooms[room] = in
	tasks.Wake(shard.wake)
}

// take returns at most limit rooms of a shard to subscribe to and to leave, and counts the
// commands as sent. It returns none if all subscriptions are as wanted.
func (s *interests) take(shard, limit int) (subscribe, leave []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room, in := range s.shards[shard].rooms {
		if len(subscribe)+len(leave) == limit {
			break
		}
		delete(s.shards[shard].rooms, room)
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

// confirm records that the server confirmed one command for a room.
func (s *interests) confirm(room string) {
	s.mu.Lock()
	in := s.rooms[room]
	if in == nil || in.outstanding == 0 {
		s.mu.Unlock()
		return
	}
	in.outstanding--
	settled := in.settled()
	s.forgetLocked(room, in)
	s.mu.Unlock()
	call(settled)
}

// restart resets the commands of a shard, because a new connection has no subscriptions.
func (s *interests) restart(shard int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room, in := range s.rooms {
		if len(s.shards) > 1 && s.shardOf(room) != shard {
			continue
		}
		in.subscribed, in.outstanding = false, 0
		s.changeLocked(room, in)
		s.forgetLocked(room, in)
	}
}

// accept reports whether to deliver an envelope: if its room is wanted and the envelope is
// new.
func (s *interests) accept(room string, h header) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.rooms[room]
	return in != nil && in.wanted && s.marks.accept(room, h)
}
