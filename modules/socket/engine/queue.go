package engine

import (
	"errors"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// burst is how many bytes are gathered before they are written ahead of
	// the window's end.
	burst = 32 << 10
	// busyShare is the part of the backlog from which a connection is busy.
	busyShare = 4
)

// flushState says what writes a connection's queue.
type flushState uint8

const (
	still     flushState = iota // whoever sends next; an open connection's queue is empty
	gathering                   // the gatherer will
	writing                     // somebody does
)

// Send writes f, or queues it. It never blocks: a connection with too much
// queued is closed as a slow consumer. On one that is closing f is dropped.
func (c *Conn) Send(f *Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quietLocked() {
		c.sendLocked(f)
		return
	}
	if c.enqueueLocked(f) {
		c.scheduleLocked()
	}
}

// SendAll is Send for several frames, which go out in one write where the
// network takes them. It does not keep the slice.
func (c *Conn) SendAll(frames []*Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	quiet := c.quietLocked()
	for _, f := range frames {
		if !c.enqueueLocked(f) {
			return
		}
		if !quiet || c.burstsLocked() {
			c.scheduleLocked()
		}
	}
	if quiet && c.flush == still && c.queue != nil {
		c.flushLocked()
	}
}

// quietLocked reports whether what is sent need not wait for anything.
func (c *Conn) quietLocked() bool {
	return c.phase == open && c.flush == still && c.engine.now() >= c.quietAt
}

// enqueueLocked queues a frame. It reports false when the connection takes no
// more.
func (c *Conn) enqueueLocked(f *Frame) bool {
	if c.phase >= closing {
		return false
	}
	queued := c.queuedLocked()
	if queued > 0 && queued+f.Len() > c.engine.cfg.MaxBacklog {
		c.engine.stats.slow.Add(1)
		c.discardLocked()
		c.goodbyeLocked(SlowConsumer, SlowConsumer.closeFrame(c.protocol))
		return false
	}
	c.pushLocked(f)
	return true
}

// Busy reports whether a good part of what may be queued is: what can wait
// should.
func (c *Conn) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queuedLocked() > c.engine.cfg.MaxBacklog/busyShare
}

// queuedLocked returns the bytes that are queued or being written.
func (c *Conn) queuedLocked() int {
	if c.queue == nil {
		return c.inFlight
	}
	return c.inFlight + c.queue.size
}

func (c *Conn) pushLocked(f *Frame) {
	if c.queue == nil {
		c.queue = c.engine.buffers.batch()
	}
	c.queue.push(f)
}

// forgetPong drops a pong that waits at the end of the queue while the network
// takes nothing: the next one answers for both (RFC 6455, section 5.5.3). Pongs
// that nobody reads would take far more memory than their bytes, which are what
// counts as backlog.
func (c *Conn) forgetPong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flush == writing && c.queue != nil {
		c.queue.dropPong()
	}
}

// discardLocked lets go of what is queued and not being written yet.
func (c *Conn) discardLocked() {
	if c.queue != nil {
		c.engine.buffers.release(c.queue)
		c.queue = nil
	}
}

// sendLocked writes a frame after a quiet moment.
func (c *Conn) sendLocked(f *Frame) {
	n, err := c.transport.try(f.wire)
	if err == nil && n == f.Len() {
		c.engine.stats.add(1, n, 1)
		c.quietAt = c.engine.now() + c.engine.cfg.Gather
		return
	}
	c.pushLocked(f)
	b := c.takeLocked()
	if err != nil {
		c.writtenLocked(b, err)
		return
	}
	b.wrote(n)
	go c.drain(b)
}

// scheduleLocked sees to it that the queue is written: when its frames have
// been gathered for a window. A burst and a goodbye do not wait.
func (c *Conn) scheduleLocked() {
	switch {
	case c.queue == nil || c.transport == nil || c.flush == writing:
	case c.phase != open || c.burstsLocked():
		c.flushLocked()
	case c.flush == still:
		c.flush = gathering
		c.engine.gatherer.add(c)
	}
}

// burstsLocked reports whether the queue is too long to wait.
func (c *Conn) burstsLocked() bool {
	return c.queue.size >= min(burst, c.engine.cfg.MaxBacklog/2)
}

// gathered ends the window of what is queued. Unlike a sender, which writes for
// a moment only, it may be at it while many frames are sent: they are queued.
func (c *Conn) gathered() {
	c.mu.Lock()
	if c.flush != gathering { // a burst or the connection's end was quicker
		c.mu.Unlock()
		return
	}
	b := c.takeLocked()
	c.mu.Unlock()
	all, err := c.try(b)
	if all || err != nil {
		c.written(b, err)
		return
	}
	go c.drain(b)
}

// flushLocked writes what is queued as far as the network takes it at once, and
// leaves the rest to a goroutine.
func (c *Conn) flushLocked() {
	b := c.takeLocked()
	all, err := c.try(b)
	if all || err != nil {
		c.writtenLocked(b, err)
		return
	}
	go c.drain(b)
}

// takeLocked begins to write what is queued.
func (c *Conn) takeLocked() *batch {
	b := c.queue
	c.queue = nil
	if b == nil { // it was discarded
		b = c.engine.buffers.batch()
	}
	c.flush, c.inFlight = writing, b.size
	return b
}

// try writes b as far as the network takes it at once.
func (c *Conn) try(b *batch) (all bool, err error) {
	buffer := c.engine.buffers.gather()
	defer c.engine.buffers.put(buffer)
	for b.size > 0 {
		chunk := b.chunk(*buffer)
		n, err := c.transport.try(chunk)
		b.wrote(n)
		if err != nil || n < len(chunk) {
			return false, err
		}
	}
	return true, nil
}

// drain writes b, waiting for the network.
func (c *Conn) drain(b *batch) {
	// A peer that has not taken all of b by then would not answer a heartbeat
	// in time either: that is behind it.
	deadline := time.Now().Add(c.engine.cfg.PingTimeout)
	c.written(b, c.transport.write(b, deadline))
}

func (c *Conn) written(b *batch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writtenLocked(b, err)
}

// writtenLocked ends a write and sees to what was queued meanwhile.
func (c *Conn) writtenLocked(b *batch, err error) {
	c.flush, c.inFlight = still, 0
	switch {
	case err == nil:
		c.engine.stats.count(b)
		c.quietAt = c.engine.now() + c.engine.cfg.Gather
		c.scheduleLocked()
	case errors.Is(err, websocket.ErrCloseSent): // gorilla has told the client what it broke; the reader ends
		c.discardLocked()
	default:
		c.brokenLocked(err)
	}
	c.engine.buffers.release(b)
	if c.flush != writing && c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}

// brokenLocked ends a connection that could not be written to: a frame may be
// out in part, so that nothing may follow it.
func (c *Conn) brokenLocked(err error) {
	if c.reason == 0 {
		c.reason = TransportError
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.reason = SlowConsumer
			c.engine.stats.slow.Add(1)
		}
	}
	c.endLocked(closed)
	c.discardLocked()
	c.transport.cut()
}

// settle waits until the network has taken what is being written. Call it on a
// connection that is closing or closed: its deadline bounds the wait.
func (c *Conn) settle() {
	c.mu.Lock()
	if c.flush != writing {
		c.mu.Unlock()
		return
	}
	if c.settled == nil {
		c.settled = make(chan struct{})
	}
	settled := c.settled
	c.mu.Unlock()
	<-settled
}
