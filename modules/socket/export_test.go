package socket

import "time"

// SetTimeouts shortens what tests would wait for. Call it before the first
// connection.
func (g *Gateway) SetTimeouts(connect, handler, grace time.Duration) {
	g.connectTimeout, g.handlerTimeout, g.closeGrace = connect, handler, grace
}
