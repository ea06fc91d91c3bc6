package engine

import (
	"context"
	"net/http"
	"time"
)

// upgradeTimeout limits the time until a WebSocket becomes the transport of a polling
// session.
const upgradeTimeout = 10 * time.Second

var probeAnswer = Plain.Frame([]byte("3probe"))

// serveUpgrade opens a WebSocket that may become the transport of the polling session c.
// Until the upgrade, the WebSocket is a separate connection. The client sends "2probe" and,
// after the answer, the packet upgrade.
func (c *Conn) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	p := &Conn{engine: c.engine, protocol: EngineIO, session: c, receiver: probe{c}}
	if !c.beginProbe(p) {
		errRequest.answer(w, r)
		return
	}
	p.deadline = time.AfterFunc(upgradeTimeout, func() { p.Close(TransportError) })
	if !c.engine.add(p) {
		p.deadline.Stop()
		p.receiver.Closed(Drained)
		c.engine.refuseStopping(w)
		return
	}
	c.engine.upgrader.serve(w, r, p)
}

// beginProbe makes p the WebSocket that is probed. It returns false if the session cannot
// be upgraded now. Only one WebSocket at a time is probed.
func (c *Conn) beginProbe(p *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open || c.transport != nil || c.polling.probe != nil {
		return false
	}
	c.polling.probe = p
	return true
}

// probe is the receiver of a WebSocket that is being probed.
type probe struct{ session *Conn }

// Message implements [Receiver]. The engine handles all messages of a probe.
func (probe) Message([]byte, bool) {}

// Finish implements [Receiver].
func (probe) Finish(context.Context) {}

// Closed implements [Receiver]. The session continues with polling.
func (p probe) Closed(Reason) {
	c := p.session
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polling.probe, c.polling.probed = nil, false
}

// probed handles a message over a WebSocket that is being probed.
func (c *Conn) probed(kind opcode, data []byte) readEnd {
	switch {
	case c.replaced: // the packet came together with the upgrade
		return c.session.message(kind, data)
	case kind == opText && string(data) == "2probe":
		c.Send(probeAnswer)
		c.session.probeAnswered()
	case kind == opText && string(data) == "5" && c.replaceTransport():
	default:
		c.Close(ParseError)
	}
	return readEnd{}
}

// probeAnswered makes GET requests return noops, because the client waits for their answer
// before it upgrades.
func (c *Conn) probeAnswered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polling.probed = true
	c.wakePollLocked()
}

// replaceTransport makes the WebSocket the transport of its session. It returns false if
// one of them is closing, or if the WebSocket's frames cannot be written.
func (c *Conn) replaceTransport() bool {
	if c.replaced = c.giveTransport(); c.replaced {
		c.engine.remove(c)
	}
	return c.replaced
}

func (c *Conn) giveTransport() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.writer == gathering {
		c.flushLocked()
	}
	if c.phase != open || c.writer == writing || s.phase != open || s.transport != nil {
		return false
	}
	t := c.transport
	c.transport, c.phase = nil, closed
	c.deadline.Stop()
	t.setConn(s)
	s.transport = t
	s.polling.probe, s.polling.probed = nil, false
	s.wakePollLocked()
	s.resumeLocked()
	if s.queue != nil {
		s.flushLocked()
	}
	t.pause(s.paused)
	return true
}
