package redisadapter

import "sync"

// maxFollowers is how many servers a node subscribes on at once: while the
// role moves, on two.
const maxFollowers = 2

// interests holds the wished-for state, which Subscribe and Unsubscribe
// change, and what of each room was received. Followers bring connections to
// it. The first of them is the one that counts: a room is ready when that one
// has it.
type interests struct {
	mu        sync.Mutex
	rooms     map[string]*interest
	followers [maxFollowers]*follower // by place
	counts    int                     // the place of the one that counts
}

// follower is how far one server's connections have followed. A command's
// confirmations arrive in the order of the commands, so a room has its wished
// state once none is outstanding and the last one sent was the right one.
type follower struct {
	all     *interests
	place   int
	shardOf func(room string) int
	shards  []*changes
}

// changes are the rooms of a shard whose wish differs from what was sent.
type changes struct {
	wake  chan struct{} // one was added
	rooms map[string]*interest
}

// interest is one room's state.
type interest struct {
	wanted  bool
	open    bool // ready is not yet closed
	ready   chan struct{}
	at      [maxFollowers]followed
	senders []mark
}

// followed is a room's state at a follower.
type followed struct {
	subscribed  bool  // by the last command sent on this connection
	outstanding int32 // commands sent and not yet confirmed
}

func newInterests() *interests { return &interests{rooms: make(map[string]*interest)} }

// follow adds a follower, which has to subscribe to all that is wanted. It
// returns nil when there are two already.
func (s *interests) follow(shards int, shardOf func(room string) int) *follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	for place := range s.followers {
		if s.followers[place] != nil {
			continue
		}
		f := &follower{all: s, place: place, shardOf: shardOf}
		for range shards {
			f.shards = append(f.shards, &changes{wake: make(chan struct{}, 1), rooms: make(map[string]*interest)})
		}
		s.followers[place] = f
		for room, in := range s.rooms {
			f.changeLocked(room, in)
		}
		return f
	}
	return nil
}

// unfollow removes a follower, which is not the one that counts.
func (s *interests) unfollow(f *follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followers[f.place] != f {
		return
	}
	s.followers[f.place] = nil
	for room, in := range s.rooms {
		in.at[f.place] = followed{}
		s.forgetLocked(room, in)
	}
}

// count makes a follower the one that counts.
func (s *interests) count(f *follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts = f.place; s.followers[f.place] != f {
		return
	}
	for _, in := range s.rooms {
		s.settleLocked(in)
	}
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
		s.settleLocked(in) // a room that was to be left, but was not yet, is simply kept
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

func (s *interests) changeLocked(room string, in *interest) {
	for _, f := range s.followers {
		if f != nil {
			f.changeLocked(room, in)
		}
	}
}

// forgetLocked drops a room that nobody wants and no server knows.
func (s *interests) forgetLocked(room string, in *interest) {
	if !in.wanted && in.at == [maxFollowers]followed{} {
		delete(s.rooms, room)
	}
}

// settleLocked closes ready if what is wanted is so.
func (s *interests) settleLocked(in *interest) {
	if at := in.at[s.counts]; in.open && in.wanted && at.subscribed && at.outstanding == 0 {
		close(in.ready)
		in.open = false
	}
}

// len returns how many rooms are wanted or still to be left.
func (s *interests) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rooms)
}

// changeLocked notes whether there is a command to send for a room.
func (f *follower) changeLocked(room string, in *interest) {
	shard := f.shards[f.shardOf(room)]
	if in.wanted == in.at[f.place].subscribed {
		delete(shard.rooms, room)
		return
	}
	shard.rooms[room] = in
	shard.notify()
}

func (c *changes) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns up to limit rooms of a shard to subscribe to and to leave, and
// notes that the commands are sent. It returns none when the connection follows
// the wish.
func (f *follower) take(shard, limit int) (subscribe, leave []string) {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	for room, in := range f.shards[shard].rooms {
		if len(subscribe)+len(leave) == limit {
			break
		}
		delete(f.shards[shard].rooms, room)
		at := &in.at[f.place]
		at.subscribed = in.wanted
		at.outstanding++
		if in.wanted {
			subscribe = append(subscribe, room)
		} else {
			leave = append(leave, room)
		}
	}
	return subscribe, leave
}

// confirm notes that the server has followed one command for a room.
func (f *follower) confirm(room string) {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	in := f.all.rooms[room]
	if in == nil || f.all.followers[f.place] != f || in.at[f.place].outstanding == 0 {
		return
	}
	in.at[f.place].outstanding--
	f.all.settleLocked(in)
	f.all.forgetLocked(room, in)
}

// restart forgets what was sent of a shard: a new connection has no
// subscriptions. All that is wanted is to be sent again.
func (f *follower) restart(shard int) {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if f.all.followers[f.place] != f {
		return
	}
	for room, in := range f.all.rooms {
		if len(f.shards) > 1 && f.shardOf(room) != shard {
			continue
		}
		in.at[f.place] = followed{}
		f.changeLocked(room, in)
		f.all.forgetLocked(room, in)
	}
}
