package engine

import "time"

const (
	// A client may send one control packet per controlEvery, and controlBurst of them at
	// once.
	controlEvery = time.Second / 32
	controlBurst = 64
)

// Control counts a packet that costs the node something but carries no message: a ping, an
// unexpected pong, or an attempt to connect. If there are too many, it returns false, and
// the connection closes as [Flooded]. Call it from [Receiver.Message].
func (c *Conn) Control() bool {
	now := c.engine.now()
	c.controls = max(c.controls, now) + controlEvery
	if c.controls-now <= controlBurst*controlEvery {
		return true
	}
	c.fail(Flooded)
	return false
}
