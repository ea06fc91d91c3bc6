package engine

import (
	"context"
	"sync"
	"time"
)

const (
	// closeTimeout bounds a goodbye: flushing the queue and the peer's answer.
	closeTimeout = time.Second
	// lastTimeout is the same for a peer that is dead in all likelihood.
	lastTimeout = 50 * time.Millisecond
)

// transport carries frames to the client.
type transport interface {
	// try hands over what the network takes at once, which may be nothing, and
	// says how many bytes that was. It never blocks.
	try(data []byte) (n int, err error)
	// write blocks until all of b is handed over, at most until deadline.
	// Neither is called while the other runs.
	write(b *batch, deadline time.Time) error
	// hold keeps the client from being read from, or lets it.
	hold(on bool)
	// linger reads and drops, for at most timeout, what the client still sends
	// after it was told to stop.
	linger(timeout time.Duration)
	// cut ends the transport at once: reading and writing fail.
	cut()
	// close lets go of the transport, after all other calls.
	close()
}

// phase is where a connection is in its life.
type phase uint8

const (
	opening phase = iota // frames wait for the transport
	open
	closing // the goodbye is queued, nothing may follow it
	closed  // nothing is written any more
)

// Conn is one connection. Its methods may be called concurrently.
type Conn struct {
	// What a broadcast touches comes first, near each other.
	engine    *Engine
	mu        sync.Mutex // guards what follows, down to answered
	phase     phase
	flush     flushState
	quietAt   time.Duration      // from then on, by the engine's clock, a frame is written at once
	transport transport          // nil while opening
	queue     *batch             // nil: empty
	inFlight  int                // bytes that somebody is writing
	paused    bool               // the client is not read from
	reason    Reason             // why it ends; 0 while it does not
	deadline  *time.Timer        // cuts a connection that is closing
	settled   chan struct{}      // closed when nothing is being written any more; nil: nobody waits
	answered  context.CancelFunc // ends the wait for the answers to a client that has left; nil: there is none

	id       string
	protocol Protocol
	receiver Receiver
	beat     heartbeat
	inbound  *inbound // for who reads; nil: nothing has come in part
}

// ID returns the connection's id: 20 characters of URL-safe base64. It is a
// secret: whoever knows it may speak for the connection.
func (c *Conn) ID() string { return c.id }

// Protocol returns what is spoken over the connection.
func (c *Conn) Protocol() Protocol { return c.protocol }

// Close says goodbye after what is queued and closes the connection, at the
// latest after a second. It does not wait. The first reason that is given is
// the one that counts.
func (c *Conn) Close(reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase < closing {
		c.goodbyeLocked(reason, reason.closeFrame(c.protocol))
	}
}

// goodbyeLocked queues the last frame, if there is one.
func (c *Conn) goodbyeLocked(reason Reason, last *Frame) {
	c.reason = reason
	c.endLocked(closing)
	if last != nil {
		c.pushLocked(last)
	}
	c.scheduleLocked()
	timeout := closeTimeout
	if reason == PingTimeout {
		timeout = lastTimeout
	}
	c.deadline = time.AfterFunc(timeout, func() { c.cut(reason) })
}

// endLocked enters one of the last two phases.
func (c *Conn) endLocked(p phase) {
	c.phase = p
	if c.answered != nil {
		c.answered()
		c.answered = nil
	}
}

// opened gives the connection its transport: what is queued goes out.
func (c *Conn) opened(t transport) {
	c.beat.start(c) // before there can be an end, which stops it
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport = t
	if c.phase == opening {
		c.phase = open
	}
	if c.queue != nil {
		c.flushLocked()
	}
	t.hold(c.paused)
	if c.phase == closed { // while it was being opened
		t.cut()
	}
}

// leave ends the connection of a client that sends no more: what it has asked
// for is answered, then its goodbye is, with the same code, and the connection
// ends when leave returns. Without a goodbye code is 0.
func (c *Conn) leave(code int) {
	c.finish()
	var answer *Frame
	if code != 0 {
		answer = closeFrame(code, "")
	}
	c.mu.Lock()
	if c.phase == open {
		c.goodbyeLocked(TransportClose, answer)
	}
	c.mu.Unlock()
	c.settle()
}

// finish waits for the answers to what the client has sent, while the connection
// is open.
func (c *Conn) finish() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.mu.Lock()
	if c.phase != open {
		c.mu.Unlock()
		return
	}
	c.answered = cancel
	c.mu.Unlock()
	c.beat.stop() // the client cannot answer
	c.receiver.Finish(ctx)
}

// abandon notes that the client cannot be read from any more. A client that
// broke WebSocket is told so, and gets a moment to hear it.
func (c *Conn) abandon(reason Reason, tell bool) {
	c.mu.Lock()
	tell = tell && c.phase == open
	if tell {
		c.discardLocked()
		c.goodbyeLocked(reason, closeFrame(reason.Code(), reason.String()))
	} else {
		if c.reason == 0 {
			c.reason = reason
		}
		c.endLocked(closed)
		c.discardLocked()
	}
	t := c.transport
	c.mu.Unlock()
	if tell {
		c.settle()
		t.linger(closeTimeout)
	}
}

// cut ends the connection at once. The receiver hears of it from who reads.
func (c *Conn) cut(reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == 0 {
		c.reason = reason
	}
	c.endLocked(closed)
	c.discardLocked()
	if c.transport != nil {
		c.transport.cut()
	}
}

// ended is the last act for a connection that is read from no more.
func (c *Conn) ended() {
	c.beat.stop()
	c.cut(TransportError) // unless there is a better reason
	c.settle()
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
	c.engine.log.Debug("engine: a connection ended", "reason", reason.String())
	c.receiver.Closed(reason)
	c.engine.remove(c) // last: who waits for the engine waits for the receivers
}

// end is the end of a connection that the poller has read from.
func (c *Conn) end(end ending) {
	c.inbound = nil // the client may stay for a second
	if end.reason == TransportClose {
		c.leave(end.code)
	}
	c.abandon(end.reason, end.tell)
	c.ended()
}

// Pause keeps the engine from reading on until [Conn.Resume]: what the client
// sends waits in the network. Messages that have been read already, of 16 KiB
// at most, are still delivered. It is for a [Receiver] that has enough.
func (c *Conn) Pause() { c.hold(true) }

// Resume ends a pause.
func (c *Conn) Resume() { c.hold(false) }

func (c *Conn) hold(on bool) {
	c.beat.mu.Lock() // so that it is told the same, whoever else calls
	defer c.beat.mu.Unlock()
	c.beat.pauseLocked(on)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = on
	if c.transport != nil && c.phase != closed { // who reads finds the end
		c.transport.hold(on)
	}
}

// alive reports whether messages are still taken.
func (c *Conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == open
}
