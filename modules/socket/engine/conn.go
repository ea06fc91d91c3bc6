package engine

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// writeTimeout bounds one write: a peer that takes nothing for so long is
	// gone, or as good as.
	writeTimeout = 10 * time.Second
	// closeTimeout bounds a goodbye: flushing the queue, and the peer's answer.
	closeTimeout = time.Second
	// maxSpare is how many frames long the queue of a quiet connection stays.
	maxSpare = 64
)

// transport carries frames to the client. Its methods may be called
// concurrently.
type transport interface {
	// write sends whole frames. It blocks until they are handed over.
	write(frames net.Buffers) error
	// linger reads, briefly, what the client still sends after a goodbye.
	linger()
	// cut ends the transport at once.
	cut()
}

// phase is where a connection is in its life.
type phase int

const (
	opening phase = iota // frames wait for the transport
	open
	closing // the goodbye is queued, nothing may follow it
	closed
)

// Conn is one connection. Its methods may be called concurrently.
type Conn struct {
	engine   *Engine
	id       string
	protocol Protocol
	receiver Receiver
	beat     heartbeat

	mu        sync.Mutex
	phase     phase
	reason    Reason // why it ends; 0 while it does not
	transport transport
	queue     net.Buffers
	spare     net.Buffers // the array that the last flush emptied
	queued    int         // bytes in queue and in the write under way
	flushing  bool        // a flush runs, or a timer will run it
	flushed   time.Time   // when the last one ended
}

// ID returns the connection's id: 20 characters of URL-safe base64. Whoever
// knows it may speak for the connection.
func (c *Conn) ID() string { return c.id }

// Protocol returns what is spoken over the connection.
func (c *Conn) Protocol() Protocol { return c.protocol }

// Send queues f. It never blocks: a connection with too much queued is cut as
// a slow consumer. On one that is closing, f is dropped.
func (c *Conn) Send(f *Frame) { c.enqueue(f.wire) }

func (c *Conn) enqueue(wire []byte) {
	c.mu.Lock()
	if c.phase >= closing {
		c.mu.Unlock()
		return
	}
	if c.queued+len(wire) > c.engine.cfg.MaxBacklog {
		c.mu.Unlock()
		c.engine.stats.slow.Add(1)
		c.cut(SlowConsumer)
		return
	}
	c.queue = append(c.queue, wire)
	c.queued += len(wire)
	c.flushSoonLocked()
	c.mu.Unlock()
}

// flushSoonLocked sees to it that the queue is written: at once after a quiet
// moment, else when the window since the last write is over.
func (c *Conn) flushSoonLocked() {
	if c.flushing || c.transport == nil || len(c.queue) == 0 {
		return
	}
	c.flushing = true
	if wait := c.engine.cfg.Gather - time.Since(c.flushed); wait > 0 && c.phase == open {
		time.AfterFunc(wait, c.flush)
		return
	}
	go c.flush()
}

// flush writes what is queued. What is queued meanwhile waits for the next
// window.
func (c *Conn) flush() {
	c.mu.Lock()
	frames := c.queue
	c.queue, c.spare = c.spare[:0], nil
	t := c.transport
	c.mu.Unlock()

	n, size := len(frames), 0
	for _, f := range frames {
		size += len(f)
	}
	keep := frames[:0]
	err := t.write(frames)
	clear(keep[:n])

	c.mu.Lock()
	if cap(keep) <= maxSpare {
		c.spare = keep
	}
	c.queued -= size
	c.flushing = false
	c.flushed = time.Now()
	if err == nil {
		c.flushSoonLocked()
	}
	c.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.engine.stats.slow.Add(1)
		c.cut(SlowConsumer)
	case err != nil:
		c.cut(TransportError)
	default:
		c.engine.stats.frames.Add(int64(n))
		c.engine.stats.bytes.Add(int64(size))
		c.engine.stats.writes.Add(1)
	}
}

// opened gives the connection its transport: what is queued goes out.
func (c *Conn) opened(t transport) {
	c.mu.Lock()
	c.transport = t
	ended := c.phase == closed
	if c.phase == opening {
		c.phase = open
	}
	c.flushSoonLocked()
	c.mu.Unlock()
	if ended {
		t.cut()
		return
	}
	c.beat.start(c)
}

// Close says goodbye after what is queued and closes the connection, at the
// latest after a second. The first reason given is the one that counts.
func (c *Conn) Close(reason Reason) {
	c.mu.Lock()
	if c.phase >= closing {
		c.mu.Unlock()
		return
	}
	c.phase, c.reason = closing, reason
	c.queue = append(c.queue, reason.closeFrame(c.protocol))
	c.flushSoonLocked()
	c.mu.Unlock()
	time.AfterFunc(closeTimeout, func() { c.cut(reason) })
}

// farewell answers the client's goodbye. It writes by itself: the connection is
// closed as soon as it returns.
func (c *Conn) farewell() {
	c.mu.Lock()
	answer := c.phase == open
	if answer {
		c.phase, c.reason = closing, TransportClose
	}
	t := c.transport
	c.mu.Unlock()
	if answer {
		_ = t.write(net.Buffers{TransportClose.closeFrame(c.protocol)})
	}
}

// cut ends the connection at once. The receiver hears of it from the reading
// goroutine.
func (c *Conn) cut(reason Reason) {
	c.mu.Lock()
	t := c.transport
	if c.reason == 0 {
		c.reason = reason
	}
	c.phase = closed
	c.mu.Unlock()
	if t != nil {
		t.cut()
	}
}

// ended is called once, by whoever read from the transport last.
func (c *Conn) ended(reason Reason) {
	c.beat.stop()
	c.cut(reason)
	c.mu.Lock()
	reason = c.reason
	c.mu.Unlock()
	c.receiver.Closed(reason)
	c.engine.remove(c) // last: who waits for the engine waits for the receivers
}

// alive reports whether messages are still taken.
func (c *Conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == open
}
