package engine

import "time"

const (
	// A client may send one control packet each controlEvery, and controlBurst of
	// them at once.
	controlEvery = time.Second / 32
	controlBurst = 64
)

// Control counts a packet of the client that costs the node something and carries
// no message: a ping, an unasked pong, an attempt to connect. It reports false, and
// the connection closes as [Flooded], if there are too many. Call it from
// [Receiver.Message].
func (c *Conn) Control() bool {
	now := c.engine.now()
	c.controls = max(c.controls, now) + controlEvery
	if c.controls-now <= controlBurst*controlEvery {
		return true
	}
	c.fail(Flooded)
	return false
}
