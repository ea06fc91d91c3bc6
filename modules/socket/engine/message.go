package engine

import (
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// message handles one whole WebSocket message. Both readers call it.
func (c *Conn) message(kind opcode, data []byte) readEnd {
	switch {
	case c.session != nil:
		return c.probed(kind, data)
	case !c.isOpen():
	case kind == opBinary && c.protocol == EngineIO:
		c.receiver.Message(data, true)
	case kind == opBinary:
		c.fail(NotText)
	case !utf8.Valid(data):
		c.fail(NotUTF8)
	case c.protocol == EngineIO:
		return c.packet(data)
	default:
		c.heartbeat.answered()
		c.receiver.Message(data, false)
	}
	return readEnd{}
}

// packet handles one Engine.IO packet: a type digit and its payload.
func (c *Conn) packet(data []byte) readEnd {
	if len(data) == 0 {
		c.fail(ParseError)
		return readEnd{}
	}
	switch data[0] {
	case '4': // message
		c.receiver.Message(data[1:], false)
	case '3': // pong
		c.ponged()
	case '1': // close
		return readEnd{reason: TransportClose, closeCode: websocket.CloseNoStatusReceived}
	case '2': // ping: in version 4 only the server sends it
		c.fail(TransportError)
	case '0', '5', '6': // open, upgrade, noop: ignored, as Node's server does
		c.Control()
	default:
		c.fail(ParseError)
	}
	return readEnd{}
}

// pinged answers a ping of the WebSocket protocol.
func (c *Conn) pinged(payload []byte) {
	if !c.Control() {
		return
	}
	c.dropQueuedPong()
	c.Send(controlFrame(opPong, payload))
	if c.protocol == Plain { // the client is alive
		c.heartbeat.answered()
	}
}

// webSocketPonged handles a pong of the WebSocket protocol. It answers the
// heartbeat of plain connections; Engine.IO has its own pong.
func (c *Conn) webSocketPonged() {
	if c.protocol == Plain {
		c.ponged()
	} else {
		c.Control()
	}
}

// ponged handles a pong.
func (c *Conn) ponged() {
	if !c.heartbeat.answered() {
		c.Control()
	}
}
