package engine

import (
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// message takes one whole message. Both readers call it.
func (c *Conn) message(kind opcode, data []byte) ending {
	switch {
	case !c.alive():
	case kind == opBinary:
		c.binary()
	case !utf8.Valid(data):
		c.Close(NotUTF8)
	case c.protocol == EngineIO:
		return c.packet(data)
	default:
		c.beat.seen()
		c.receiver.Message(data)
	}
	return ending{}
}

// packet takes one Engine.IO packet: its type digit, then its payload.
func (c *Conn) packet(data []byte) ending {
	if len(data) == 0 {
		c.Close(ParseError)
		return ending{}
	}
	switch data[0] {
	case '4':
		c.receiver.Message(data[1:])
	case '3':
		c.beat.seen()
	case '1':
		return ending{reason: TransportClose, code: websocket.CloseNoStatusReceived}
	case '2': // heartbeats come from the server
		c.Close(TransportError)
	case '0', '5', '6': // mean nothing here, and Node ignores them
	default:
		c.Close(ParseError)
	}
	return ending{}
}

func (c *Conn) binary() {
	if c.protocol == EngineIO {
		c.Close(ParseError)
		return
	}
	c.Close(NotText)
}

// pinged answers a WebSocket's own heartbeat.
func (c *Conn) pinged(payload []byte) {
	c.forgetPong()
	c.Send(controlFrame(opPong, payload))
	c.webSocketSeen()
}

// webSocketSeen takes a sign of life that is WebSocket's own: Engine.IO has
// another heartbeat.
func (c *Conn) webSocketSeen() {
	if c.protocol == Plain {
		c.beat.seen()
	}
}
