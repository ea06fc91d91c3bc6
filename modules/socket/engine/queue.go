package engine

import (
	"errors"
	"os"
	"time"
)

const (
	// burst is how many bytes are gathered before they are written ahead of
	// the window's end.
	burst = 32 << 10
	// maxBatch is how many frames long a queue is reused.
	maxBatch = 1024
	// busyShare is the part of the backlog from which a connection is busy.
	busyShare = 4
)

// flushState says what writes a connection's queue.
type flushState uint8

const (
	still     flushState = iota // nothing: there is nothing to write, or no transport
	gathering                   // a timer will
	flushing                    // a goroutine does
)

// batch is a queue of frames. Only connections with something to write have
// one: the engine keeps the others.
type batch struct {
	frames []*Frame
	size   int // bytes
}

func (e *Engine) release(b *batch) {
	if cap(b.frames) > maxBatch {
		return
	}
	clear(b.frames)
	b.frames, b.size = b.frames[:0], 0
	e.batches.Put(b)
}

// Send queues f. It never blocks: a connection with too much queued is closed
// as a slow consumer. On one that is closing f is dropped.
func (c *Conn) Send(f *Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase >= closing {
		return
	}
	queued := c.queuedLocked()
	if queued > 0 && queued+f.Len() > c.engine.cfg.MaxBacklog {
		c.engine.stats.slow.Add(1)
		c.discardLocked()
		c.goodbyeLocked(SlowConsumer, SlowConsumer.closeFrame(c.protocol))
		return
	}
	c.pushLocked(f)
	c.scheduleLocked()
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
		c.queue, _ = c.engine.batches.Get().(*batch)
	}
	c.queue.frames = append(c.queue.frames, f)
	c.queue.size += f.Len()
}

// discardLocked lets go of what is queued and not being written yet.
func (c *Conn) discardLocked() {
	if c.queue != nil {
		c.engine.release(c.queue)
		c.queue = nil
	}
}

// scheduleLocked sees to it that the queue is written: at once after a quiet
// moment, else when the window that the last flush began is over. A burst and
// a goodbye do not wait.
func (c *Conn) scheduleLocked() {
	if c.queue == nil || c.transport == nil || c.flush == flushing {
		return
	}
	urgent := c.phase != open || c.queue.size >= min(burst, c.engine.cfg.MaxBacklog/2)
	if c.flush == gathering {
		if urgent && c.gather.Stop() {
			c.flush = flushing
			go c.flushQueue()
		}
		return
	}
	wait := c.engine.cfg.Gather - time.Since(c.flushed)
	switch {
	case urgent || wait <= 0:
		c.flush = flushing
		go c.flushQueue()
	case c.gather == nil:
		c.flush = gathering
		c.gather = time.AfterFunc(wait, c.flushQueue)
	default:
		c.flush = gathering
		c.gather.Reset(wait)
	}
}

// flushQueue writes what is queued. What is queued meanwhile is for the next
// flush.
func (c *Conn) flushQueue() {
	now := time.Now()
	c.mu.Lock()
	c.flush, c.flushed = flushing, now
	b, t := c.queue, c.transport
	c.queue = nil
	if b == nil { // the connection was cut
		c.restLocked()
		c.mu.Unlock()
		return
	}
	c.inFlight = b.size
	c.mu.Unlock()

	// A peer that takes nothing for so long cannot answer a heartbeat either.
	writes, err := t.write(b.frames, now.Add(c.engine.cfg.PingTimeout))
	if err == nil {
		stats := &c.engine.stats
		stats.frames.Add(int64(len(b.frames)))
		stats.bytes.Add(int64(b.size))
		stats.writes.Add(int64(writes))
	}
	c.engine.release(b)

	c.mu.Lock()
	c.inFlight = 0
	if err == nil {
		c.restLocked()
		c.mu.Unlock()
		return
	}
	if c.reason == 0 {
		c.reason = TransportError
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.reason = SlowConsumer
			c.engine.stats.slow.Add(1)
		}
	}
	c.phase = closed // a frame may be out in part: nothing may follow it
	c.discardLocked()
	c.restLocked()
	c.mu.Unlock()
	t.cut()
}

// restLocked ends a flush and begins the next one if there is work.
func (c *Conn) restLocked() {
	c.flush = still
	c.scheduleLocked()
	if c.flush == still && c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}

// settle waits until no flush is under way. Call it on a connection that is
// closing or closed: its deadline bounds the wait.
func (c *Conn) settle() {
	c.mu.Lock()
	if c.flush == gathering && c.queue == nil && c.gather.Stop() {
		c.flush = still
	}
	if c.flush == still {
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
