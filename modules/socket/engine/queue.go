package engine

import (
	"errors"
	"os"
	"time"
)

const (
	// burst is how many queued bytes are written before the window ends.
	burst = 32 << 10
	// A connection is busy from busyBytes in its queue on, or from a part of the
	// backlog, one in busyShare, if that is less.
	busyBytes = 32 << 10
	busyShare = 4
	// lossyShare is the part from which a connection drops lossy frames.
	lossyShare = 8
)

// writerState says who writes the queue of a connection.
type writerState uint8

const (
	idle      writerState = iota // the next sender; the queue of an open connection is empty
	gathering                    // the gatherer, at the end of the window
	writing                      // somebody is writing now
)

// Send writes f, or queues it. It never blocks: a connection whose backlog is
// full is closed as [SlowConsumer], unless f is lossy. A closing connection drops f.
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

// SendAll is [Conn.Send] for several frames. It makes one write of them where
// the network takes it. It does not keep the slice.
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

// enqueueLocked queues a frame. It returns false if the connection takes no more
// frames.
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

// dropsLocked reports whether f is dropped and counted, because it is lossy and
// much is queued.
func (c *Conn) dropsLocked(f *Frame) bool {
	drops := f.lossy && c.queuedLocked() > c.engine.cfg.MaxBacklog/lossyShare
	if drops {
		c.engine.stats.dropped.Add(1)
	}
	return drops
}

// Busy reports whether more is queued than the client takes at once: 32 KiB, or a
// quarter of a small backlog. Delay what can wait.
func (c *Conn) Busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busyLocked()
}

func (c *Conn) busyLocked() bool {
	return c.queuedLocked() > min(busyBytes, c.engine.cfg.MaxBacklog/busyShare)
}

// WhenFree calls fn once the connection is not busy, or has ended. It does not
// block. A goroutine of its own calls fn.
func (c *Conn) WhenFree(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, fn)
	c.freeLocked()
}

// freeLocked calls who waits for the connection, unless it is busy.
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

// Writable reports whether the client takes what is sent to it: nothing blocks,
// and by polling a request is pending. Drop what is worthless later.
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

// lossyLocked returns how many of the queued bytes are those of lossy frames.
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

// dropQueuedPong drops a pong at the end of the queue while a write blocks: the
// next pong answers both pings (RFC 6455, section 5.5.3). Otherwise a client
// that sends pings and reads nothing would take far more memory than its backlog
// counts.
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

// scheduleLocked has the queue written at the end of the window. A burst and a
// close frame do not wait.
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

// windowEnded writes the queue at the end of its window. It writes without the
// lock, because a long queue takes a while: senders queue meanwhile.
func (c *Conn) windowEnded() {
	c.mu.Lock()
	if c.writer != gathering { // a burst or a close has flushed the queue
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

// beginWriteLocked takes the queue.
func (c *Conn) beginWriteLocked() *batch {
	b := c.queue
	c.queue = nil
	if b == nil { // it was discarded
		b = c.engine.buffers.batch()
	}
	c.writer, c.inFlight, c.lossy = writing, b.size, b.lossy
	return b
}

// write writes what the network takes of b without blocking. If there is a rest, it
// reports false, and a goroutine writes the rest and ends the write.
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

// writeRest writes b and blocks while the network is full. A client that has not
// taken b within the ping timeout could not answer a heartbeat behind it either.
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

// endWriteLocked ends a write and schedules the frames that were queued during
// it.
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

// writeFailedLocked cuts the connection: the failed write may have cut a frame in
// two, so that no other frame may follow.
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

// finishWriting writes what is queued, and waits until it is written. An upgrade
// needs a transport that nobody writes to. The deadline of the probe bounds the wait.
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

// awaitWrite waits for the current write to end. Call it on a connection that has a
// deadline, which bounds the wait.
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
