package adapter

import (
	"sync"
	"sync/atomic"
)

const (
	// queueAbove is the largest number of sockets that a room has before its envelopes are
	// queued.
	queueAbove = 64
	// maxQueued bounds the queue of one room.
	maxQueued = 256
)

// roomQueues sends envelopes to large rooms. The goroutine that receives from other nodes
// serves all rooms, so it must not wait while thousands of sockets of one room are written
// to. A large room has its own goroutine while envelopes are queued. Envelopes keep their
// order.
type roomQueues struct {
	overflow atomic.Int64 // dropped envelopes
	senders  sync.WaitGroup

	mu     sync.Mutex
	queues map[string][]Envelope // a room has an entry while its goroutine runs
}

// add queues an envelope for send if its room is large or already has a queue. Otherwise it
// returns false, and the caller sends the envelope. If the queue is full, the envelope is
// dropped.
func (q *roomQueues) add(env Envelope, large bool, send func(Envelope)) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	queue, running := q.queues[env.Room]
	switch {
	case !running && !large:
		return false
	case len(queue) == maxQueued:
		q.overflow.Add(1)
		return true
	}
	q.queues[env.Room] = append(queue, env)
	if !running {
		q.senders.Go(func() {
			for queue := q.take(env.Room); len(queue) > 0; queue = q.take(env.Room) {
				for _, env := range queue {
					send(env)
				}
			}
		})
	}
	return true
}

// take empties and returns the queue of a room. An empty queue ends its goroutine.
func (q *roomQueues) take(room string) []Envelope {
	q.mu.Lock()
	defer q.mu.Unlock()
	queue := q.queues[room]
	if len(queue) == 0 {
		delete(q.queues, room)
	} else {
		q.queues[room] = nil
	}
	return queue
}
