package adapter

import (
	"sync"
	"sync/atomic"
)

const (
	// crowd is how many sockets a room has at most whose envelopes from other
	// nodes are sent by whoever received them: that takes a moment.
	crowd = 64
	// maxIncoming bounds the envelopes that wait for one room.
	maxIncoming = 256
)

// incoming sends what other nodes have sent to large rooms. Whoever receives
// from other nodes does so for all rooms, and must not wait until thousands of
// sockets of one are written to. So a large room has a goroutine of its own
// while there is something to send. Its envelopes keep their order.
type incoming struct {
	overflow   atomic.Int64 // envelopes that were dropped
	goroutines sync.WaitGroup

	mu    sync.Mutex
	rooms map[string][]Envelope // waiting; a room is in it while its goroutine runs
}

// add takes an envelope of a room that is large, or has others waiting, and has
// send called for it. It reports false for any other: the caller sends that. An
// envelope that finds too many waiting is lost, as envelopes may be.
func (in *incoming) add(env Envelope, large bool, send func(Envelope)) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	waiting, running := in.rooms[env.Room]
	switch {
	case !running && !large:
		return false
	case len(waiting) == maxIncoming:
		in.overflow.Add(1)
		return true
	}
	if in.rooms == nil {
		in.rooms = make(map[string][]Envelope)
	}
	in.rooms[env.Room] = append(waiting, env)
	if !running {
		in.goroutines.Go(func() { in.run(env.Room, send) })
	}
	return true
}

// run sends a room's envelopes until there are no more.
func (in *incoming) run(room string, send func(Envelope)) {
	for {
		waiting := in.take(room)
		if len(waiting) == 0 {
			return
		}
		for _, env := range waiting {
			send(env)
		}
	}
}

// take returns what waits for a room. When that is nothing, its goroutine ends.
func (in *incoming) take(room string) []Envelope {
	in.mu.Lock()
	defer in.mu.Unlock()
	waiting := in.rooms[room]
	if len(waiting) == 0 {
		delete(in.rooms, room)
	} else {
		in.rooms[room] = nil
	}
	return waiting
}

// stop returns once everything has been sent. Nothing may be added any more.
func (in *incoming) stop() { in.goroutines.Wait() }
