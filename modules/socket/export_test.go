package socket

import (
	"encoding/json"
	"time"
)

// Decode reads an event's data as a handler made by [On] gets it.
func Decode[Req any](data json.RawMessage) (Req, error) {
	if err := check(data); err != nil {
		var none Req
		return none, err
	}
	return decode[Req](data)
}

// SetTimeouts shortens what tests would wait for. Call it before the first
// connection.
func (g *Gateway) SetTimeouts(connect, handler, grace time.Duration) {
	g.connectTimeout, g.handlerTimeout, g.closeGrace = connect, handler, grace
}
