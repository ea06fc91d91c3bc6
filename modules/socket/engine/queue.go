package engine

import (
	"errors"
	"os"
	"time"
)

const (
	// burst is the number of queued bytes from which the queue is written before the window
	// ends.
	burst = 32 << 10
	// A connection is busy if at least busyBytes are queued, or one part in busyShare of
	// its backlog if that is less.
	busyBytes = 32 << 10
	busyShare = 4
	// Lossy frames are dropped while more than one part in lossyShare of the backlog is queued.
	lossyShare = 8
)

// writerState says which code writes the queue of a connection next.
type writerState uint8

const (
	idle      writerState = iota // the next sender writes; the queue of an open connection is empty
	gathering                    // the gatherer writes at the end of the window
	writing                      // a write is running
)

// Send writes f, or queues it. It never blocks. If the backlog is full, the connection is
// closed as [SlowConsumer], unless f is lossy. A closing connection drops f.
func (c *Conn) Send(f *Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.canWriteLocked():
		c.writeLocked(f)
	case c.dropsLocked(f):
	case c.enqueueLocked(f):
		c.scheduleLocked()
	}
}

// SendAll is [Conn.Send] for several frames, in one write where possible. It does not keep
// the slice.
func (c *Conn) SendAll(frames []*Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	direct := c.canWriteLocked()
	for _, f := range frames {
		if c.dropsLocked(f) {
			continue
		}
		if !c.enqueueLocked(f) {
			return
		}
		if !direct || c.isBurstLocked() {
			c.scheduleLocked()
		}
	}
	if direct && c.writer == idle && c.queue != nil {
		c.flushLocked()
	}
}

// canWriteLocked reports whether a sender may write without queueing.
func (c *Conn) canWriteLocked() bool {
	return c.phase == open && c.transport != nil && c.writer == idle && c.engine.now() >= c.windowEnd
}

// enqueueLocked queues a frame. It returns false if the connection accepts no more frames.
func (c *Conn) enqueueLocked(f *Frame) bool {
	if c.phase >= closing {
		return false
	}
	if queued := c.queuedLocked(); queued > 0 && !f.lossy && queued-c.lossyLocked()+f.Len() > c.engine.cfg.MaxBacklog {
		c.engine.stats.slow.Add(1)
		c.discardQueueLocked()
		c.beginCloseLocked(SlowConsumer)
		return false
	}
	c.pushLocked(f)
	return true
}

// dropsLocked reports whether f is dropped because it is lossy and the queue is long. It
// counts a dropped frame.
func (c *Conn) dropsLocked(f *Frame) bool {
	drops := f.lossy && c.queuedLocked() > c.engine.cfg.MaxBacklog/lossyShare
	if drops {
		c.engine.stats.dropped.Add(1)
	}
	return drops
}

// Busy reports whether the queue is long: 32 KiB, or a quarter of a small backlog. Less
// urgent frames should wait.
func (c *Conn) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busyLocked()
}

func (c *Conn) busyLocked() bool {
	return c.queuedLocked() > min(busyBytes, c.engine.cfg.MaxBacklog/busyShare)
}

// WhenFree arranges that fn is called, in its own goroutine, once the connection is not
// busy or has ended. WhenFree does not block.
func (c *Conn) WhenFree(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, fn)
	c.freeLocked()
}

// freeLocked calls the waiting callbacks, unless the connection is busy.
func (c *Conn) freeLocked() {
	if len(c.waiting) == 0 || c.busyLocked() {
		return
	}
	waiting := c.waiting
	c.waiting = nil
	go func() {
		for _, fn := range waiting {
			fn()
		}
	}()
}

// Writable reports whether the client can take a frame at once: no write blocks, and a
// polling client has a pending request. If not, drop events that are worthless later.
func (c *Conn) Writable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isPollingLocked() {
		return c.polling.wake != nil && c.queue == nil
	}
	return c.phase == open && c.writer != writing
}

// queuedLocked returns the bytes that are queued or being written.
func (c *Conn) queuedLocked() int {
	if c.queue == nil {
		return c.inFlight
	}
	return c.inFlight + c.queue.size
}

// lossyLocked returns the number of queued bytes of lossy frames.
func (c *Conn) lossyLocked() int {
	if c.queue == nil {
		return c.lossy
	}
	return c.lossy + c.queue.lossy
}

func (c *Conn) pushLocked(f *Frame) {
	if c.queue == nil {
		c.queue = c.engine.buffers.batch()
	}
	c.queue.push(f)
}

// dropQueuedPong drops a pong at the end of the queue while a write blocks, because the
// next pong answers both pings (RFC 6455, section 5.5.3). Otherwise, a client that sends
// pings and reads nothing would take far more memory than its backlog counts.
func (c *Conn) dropQueuedPong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writer == writing && c.queue != nil {
		c.queue.dropPong()
	}
}

// discardQueueLocked drops the frames that are not being written yet.
func (c *Conn) discardQueueLocked() {
	if c.queue != nil {
		c.engine.buffers.release(c.queue)
		c.queue = nil
		c.freeLocked()
	}
}

// writeLocked writes a frame directly, without a queue.
func (c *Conn) writeLocked(f *Frame) {
	n, err := c.transport.try(f.wire)
	if err == nil && n == f.Len() {
		c.engine.stats.add(1, n, 1)
		c.windowEnd = c.engine.now() + c.engine.cfg.Gather
		return
	}
	c.pushLocked(f)
	b := c.beginWriteLocked()
	if err != nil {
		c.endWriteLocked(b, err)
		return
	}
	b.advance(n)
	go c.writeRest(b)
}

// scheduleLocked arranges that the queue is written at the end of the window. It writes a
// burst or a close frame at once.
func (c *Conn) scheduleLocked() {
	switch {
	case c.isPollingLocked():
		c.wakePollLocked()
	case c.queue == nil || c.transport == nil || c.writer == writing:
	case c.phase != open || c.isBurstLocked():
		c.flushLocked()
	case c.writer == idle:
		c.writer = gathering
		c.engine.gatherer.add(c)
	}
}

// isBurstLocked reports whether the queue is too long to wait.
func (c *Conn) isBurstLocked() bool {
	return c.queue.size >= min(burst, c.engine.cfg.MaxBacklog/2)
}

// windowEnded writes the queue at the end of its window. It writes without the lock,
// because a long queue takes a while and senders must be able to queue meanwhile.
func (c *Conn) windowEnded() {
	c.mu.Lock()
	if c.writer != gathering { // a burst or a close frame has already written the queue
		c.mu.Unlock()
		return
	}
	b := c.beginWriteLocked()
	c.mu.Unlock()
	if done, err := c.write(b); done {
		c.endWrite(b, err)
	}
}

// flushLocked writes the queue without blocking.
func (c *Conn) flushLocked() {
	b := c.beginWriteLocked()
	if done, err := c.write(b); done {
		c.endWriteLocked(b, err)
	}
}

// beginWriteLocked takes the queue to write it.
func (c *Conn) beginWriteLocked() *batch {
	b := c.queue
	c.queue = nil
	if b == nil { // the queue was discarded
		b = c.engine.buffers.batch()
	}
	c.writer, c.inFlight, c.lossy = writing, b.size, b.lossy
	return b
}

// write writes as much of b as possible without blocking. If a rest is left, it returns
// false, and a goroutine writes the rest and ends the write.
func (c *Conn) write(b *batch) (done bool, err error) {
	buffer := c.engine.buffers.gather()
	defer c.engine.buffers.put(buffer)
	for b.size > 0 {
		chunk := b.chunk(*buffer)
		n, err := c.transport.try(chunk)
		b.advance(n)
		if err != nil {
			return true, err
		}
		if n < len(chunk) {
			go c.writeRest(b)
			return false, nil
		}
	}
	return true, nil
}

// writeRest writes b and blocks while the network is full. It gives up after the ping
// timeout, because a heartbeat in the queue could not be answered in time either.
func (c *Conn) writeRest(b *batch) {
	buffer := c.engine.buffers.gather()
	defer c.engine.buffers.put(buffer)
	c.endWrite(b, c.transport.write(b, *buffer, time.Now().Add(c.engine.cfg.PingTimeout)))
}

func (c *Conn) endWrite(b *batch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endWriteLocked(b, err)
}

// endWriteLocked ends a write and schedules the frames that were queued during it.
func (c *Conn) endWriteLocked(b *batch, err error) {
	c.writer, c.inFlight, c.lossy = idle, 0, 0
	if err != nil {
		c.writeFailedLocked(err)
	} else {
		c.engine.stats.add(len(b.frames), b.total, b.writes)
		c.windowEnd = c.engine.now() + c.engine.cfg.Gather
		c.scheduleLocked()
	}
	c.engine.buffers.release(b)
	c.freeLocked()
	if c.writer != writing && c.written != nil {
		close(c.written)
		c.written = nil
	}
}

// writeFailedLocked cuts the connection. The failed write may have cut a frame in two, so
// no other frame may follow.
func (c *Conn) writeFailedLocked(err error) {
	reason := TransportError
	if errors.Is(err, os.ErrDeadlineExceeded) {
		reason = SlowConsumer
		if c.reason == 0 {
			c.engine.stats.slow.Add(1)
		}
	}
	c.cutLocked(reason)
	c.transport.cut()
}

// finishWriting waits until the queue is written, because an upgrade needs a transport
// without a running write. The deadline of the probe limits the wait.
func (c *Conn) finishWriting() {
	for {
		c.mu.Lock()
		if c.writer == gathering {
			c.flushLocked()
		}
		writes := c.writer == writing
		c.mu.Unlock()
		if !writes {
			return
		}
		c.awaitWrite() // frames may have been queued meanwhile
	}
}

// awaitWrite waits for the current write to end. Call it only on a connection with a
// deadline, which limits the wait.
func (c *Conn) awaitWrite() {
	c.mu.Lock()
	if c.writer != writing {
		c.mu.Unlock()
		return
	}
	if c.written == nil {
		c.written = make(chan struct{})
	}
	written := c.written
	c.mu.Unlock()
	<-written
}
