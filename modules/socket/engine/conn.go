package engine

import (
	"context"
	"sync"
	"time"
)

const (
	// closeTimeout limits the closing of a connection: writing the queue and waiting for
	// the client to close.
	closeTimeout = time.Second
	// pollTimeout is closeTimeout for a polling client, which learns of the end only by its
	// next request.
	pollTimeout = 5 * time.Second
	// deadTimeout is closeTimeout for a client that is probably dead.
	deadTimeout = 50 * time.Millisecond
)

// transport carries frames to one client.
type transport interface {
	// try writes as many bytes as possible without blocking, and returns their number.
	try(data []byte) (n int, err error)
	// write writes all of b, blocking until deadline at most. It gathers frames in buffer.
	// It never runs at the same time as try.
	write(b *batch, buffer []byte, deadline time.Time) error
	// pause stops reading from the client, or resumes it.
	pause(on bool)
	// setConn makes c the connection that handles further input. Call it from the reader.
	setConn(c *Conn)
	// linger reads and discards input for at most timeout, so that the client can read the
	// close frame.
	linger(timeout time.Duration)
	// cut makes reading and writing fail from now on.
	cut()
	// close releases the transport. It is the last call.
	close()
}

// phase is a stage in the life of a connection. The phases are in order.
type phase uint8

const (
	opening phase = iota // frames wait for the transport
	open
	closing // the close frame is queued; further frames are dropped
	closed  // nothing more is written
)

// Conn is one connection. It is safe for concurrent use.
type Conn struct {
	// A broadcast uses the first fields, so they share cache lines.
	engine    *Engine
	mu        sync.Mutex // guards the fields from phase to stopWaiting
	phase     phase
	writer    writerState
	windowEnd time.Duration      // on the engine's clock; frames sent later are written directly
	transport transport          // nil while opening, and after the end
	queue     *batch             // nil when empty
	inFlight  int                // bytes being written
	lossy     int                // bytes of lossy frames among these
	waiting   []func()           // callbacks of WhenFree
	paused    bool               // reading is paused
	reason    Reason             // why the connection ends; 0 until then
	deadline  *time.Timer        // cuts the connection when closing takes too long
	written   chan struct{}      // closed when the current write ends; nil if nobody waits
	stopReply context.CancelFunc // ends Receiver.Finish; nil if it is not running

	protocol  Protocol
	polling   *polling      // nil if the connection began with a WebSocket
	session   *Conn         // the polling session that this WebSocket probes; usually nil
	controls  time.Duration // until when control packets are counted, on the engine's clock; used by the reader only
	replaced  bool          // session has the transport now; used by the reader only
	receiver  Receiver
	heartbeat heartbeat
	inbound   *inbound // used by the reader only; nil if no input is incomplete
}

// Close writes the queue and a close frame, and closes the connection within a second. It
// does not block. If it is called more than once, the first reason counts.
func (c *Conn) Close(reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beginCloseLocked(reason)
}

// beginCloseLocked starts closing and tells the client, unless the connection is closing
// already.
func (c *Conn) beginCloseLocked(reason Reason) {
	switch {
	case c.phase >= closing:
	case c.isPollingLocked(): // GET requests tell the client
		c.closeLocked(reason, nil)
	default:
		c.closeLocked(reason, reason.closeFrame(c.protocol))
	}
}

// fail closes the connection of a client that breaks the Engine.IO protocol. If the client
// is polling, its next request gets an error.
func (c *Conn) fail(reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isPollingLocked() && c.polling.wake == nil {
		c.cutLocked(reason)
		return
	}
	c.beginCloseLocked(reason)
}

// closeLocked queues last, which may be nil, and starts closing.
func (c *Conn) closeLocked(reason Reason, last *Frame) {
	c.reason = reason
	c.enterLocked(closing)
	if last != nil {
		c.pushLocked(last)
	}
	c.scheduleLocked()
	timeout := closeTimeout
	switch {
	case reason == PingTimeout:
		timeout = deadTimeout
	case c.isPollingLocked() && reason != Drained:
		timeout = pollTimeout
	}
	c.deadline = time.AfterFunc(timeout, func() { c.cut(reason) })
}

// enterLocked enters phase closing or closed.
func (c *Conn) enterLocked(p phase) {
	c.phase = p
	if c.stopReply != nil {
		c.stopReply()
		c.stopReply = nil
	}
	c.wakePollLocked()
	c.resumeLocked()
}

// opened sets the transport and writes what is queued.
func (c *Conn) opened(t transport) {
	if c.session == nil {
		c.heartbeat.start(c) // before the rest, because the end of the connection stops it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport = t
	if c.phase == opening {
		c.phase = open
	}
	if c.queue != nil {
		c.flushLocked()
	}
	t.pause(c.paused)
	if c.phase == closed { // it was cut during the upgrade
		t.cut()
	}
}

// peerClosed handles the end of the client's stream. It waits for the replies to earlier
// messages and sends a close frame with the client's code, or none if code is 0. When it
// returns, the connection may be released.
func (c *Conn) peerClosed(code int) {
	c.awaitReplies()
	var answer *Frame
	if code != 0 {
		answer = closeFrame(code, "")
	}
	c.mu.Lock()
	if c.phase == open {
		c.closeLocked(TransportClose, answer)
	}
	c.mu.Unlock()
	c.awaitWrite()
}

// awaitReplies waits for the replies to the client's messages while the connection is open.
func (c *Conn) awaitReplies() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.mu.Lock()
	if c.phase != open {
		c.mu.Unlock()
		return
	}
	c.stopReply = cancel
	c.mu.Unlock()
	c.heartbeat.stop() // the client can no longer answer it
	c.receiver.Finish(ctx)
}

// stopReading handles unreadable input. If notify is set, the client broke the protocol: it
// gets a close frame and closeTimeout to read it.
func (c *Conn) stopReading(reason Reason, notify bool) {
	c.mu.Lock()
	if !notify || c.phase != open {
		c.cutLocked(reason)
		c.mu.Unlock()
		return
	}
	c.discardQueueLocked()
	c.closeLocked(reason, closeFrame(reason.Code(), reason.String()))
	t := c.transport
	c.mu.Unlock()
	c.awaitWrite()
	t.linger(closeTimeout)
}

// cut ends the connection at once. The reader notices this and calls release.
func (c *Conn) cut(reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutLocked(reason)
	if c.transport != nil {
		c.transport.cut()
	}
}

// cutLocked drops the queue and stops all writing. An earlier reason counts.
func (c *Conn) cutLocked(reason Reason) {
	if c.reason == 0 {
		c.reason = reason
	}
	c.enterLocked(closed)
	c.discardQueueLocked()
	c.releaseLocked()
}

// release closes the transport and tells the receiver. Call it once, after the last read.
func (c *Conn) release() {
	c.heartbeat.stop()
	c.cut(TransportError) // an earlier reason counts
	c.awaitWrite()
	c.mu.Lock()
	reason, t := c.reason, c.transport
	c.transport = nil
	if c.deadline != nil {
		c.deadline.Stop()
	}
	c.mu.Unlock()
	if t != nil {
		t.close()
	}
	if c.polling != nil {
		c.polling.end(c)
		defer c.polling.input.Unlock()
	}
	c.engine.log.Debug("engine: a connection ended", "reason", reason.String())
	c.receiver.Closed(reason)
	c.engine.remove(c) // after the receiver, because a drain waits for receivers, too
}

// Pause stops reading from the client, or resumes it. While paused, the client's data waits
// in the network. Up to 16 KiB that were already read are still delivered. A [Receiver]
// pauses its connection if it cannot keep up.
func (c *Conn) Pause(on bool) {
	c.heartbeat.mu.Lock() // held to the end, so that concurrent calls keep their order
	defer c.heartbeat.mu.Unlock()
	c.heartbeat.pauseLocked(on)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = on
	if !on {
		c.resumeLocked()
	}
	if c.transport != nil && c.phase != closed { // a closed connection is read to its end
		c.transport.pause(on)
	}
}

// isOpen reports whether messages are still accepted.
func (c *Conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == open
}
