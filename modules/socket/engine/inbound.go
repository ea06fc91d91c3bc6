package engine

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// readBytes is how much the poller reads from a connection before the next
// one's turn.
const readBytes = 16 << 10

// ending says how reading from a connection came to its end. The zero value:
// it has not.
type ending struct {
	reason Reason
	tell   bool // the client broke the protocol, and may hear so
	code   int  // of the client's goodbye; 0: there was none
}

// inbound takes apart what a client sends: masked frames, of which a message
// may have several (RFC 6455, section 5). Only a connection in the middle of
// something has memory for it.
type inbound struct {
	rest    []byte // the beginning of a frame
	message []byte // the beginning of a message in fragments
	kind    opcode // of that message; opContinuation: there is none
}

// feed takes bytes as they came from the client, and hands on what is whole. It
// changes data and keeps none of it.
func (c *Conn) feed(data []byte) ending {
	in := c.inbound
	if in == nil {
		in = new(inbound)
	}
	if len(in.rest) > 0 {
		in.rest = append(in.rest, data...)
		data = in.rest
	}
	for {
		h, end := c.parseHeader(in, data)
		if end.reason != 0 {
			return end
		}
		if h.whole == 0 || len(data) < h.whole {
			break
		}
		payload := data[h.length:h.whole]
		unmask(payload, h.mask)
		data = data[h.whole:]
		if end := c.frame(in, h, payload); end.reason != 0 {
			return end
		}
	}
	if len(data) != len(in.rest) { // else it is there already
		in.rest = append(in.rest[:0], data...)
	}
	if len(in.rest) == 0 && in.kind == opContinuation {
		in = nil
	}
	c.inbound = in
	return ending{}
}

// header is that of one frame (RFC 6455, section 5.2).
type header struct {
	op     opcode
	fin    bool
	mask   [4]byte
	length int // of the header, in bytes
	whole  int // of the frame; 0: too little of it has come
}

// parseHeader reads the header that data begins with, and refuses a frame
// before any more of it has come.
func (c *Conn) parseHeader(in *inbound, data []byte) (h header, end ending) {
	if len(data) < 2 {
		return h, end
	}
	const fin, reserved, masked = 0x80, 0x70, 0x80
	h.op, h.fin = opcode(data[0]&0xf), data[0]&fin != 0
	if data[0]&reserved != 0 || data[1]&masked == 0 || !h.follows(in) {
		return h, ending{reason: ParseError, tell: true}
	}
	size := uint64(data[1] &^ masked)
	h.length = 2
	switch size {
	case 126:
		h.length = 4
	case 127:
		h.length = 10
	}
	if h.op.control() && (!h.fin || h.length > 2) {
		return h, ending{reason: ParseError, tell: true}
	}
	if len(data) < h.length+len(h.mask) {
		return h, end
	}
	switch h.length {
	case 4:
		size = uint64(binary.BigEndian.Uint16(data[2:]))
	case 10:
		size = binary.BigEndian.Uint64(data[2:])
	}
	if limit := uint64(c.engine.cfg.MaxFrame); !h.op.control() && (size > limit || size+uint64(len(in.message)) > limit) {
		return h, ending{reason: TooLarge, tell: true}
	}
	copy(h.mask[:], data[h.length:])
	h.length += len(h.mask)
	h.whole = h.length + int(size)
	return h, end
}

// follows reports whether a frame of this kind may come now.
func (h header) follows(in *inbound) bool {
	switch h.op {
	case opContinuation:
		return in.kind != opContinuation
	case opText, opBinary:
		return in.kind == opContinuation
	default:
		return h.op == opClose || h.op == opPing || h.op == opPong
	}
}

// frame takes a whole frame.
func (c *Conn) frame(in *inbound, h header, payload []byte) ending {
	switch h.op {
	case opClose:
		return goodbye(payload)
	case opPing:
		c.pinged(payload)
	case opPong:
		c.webSocketSeen()
	case opContinuation:
		in.message = append(in.message, payload...)
		if h.fin {
			kind, message := in.kind, in.message
			in.kind, in.message = opContinuation, nil
			c.message(kind, message)
		}
	default:
		if h.fin {
			c.message(h.op, payload)
			return ending{}
		}
		in.kind, in.message = h.op, append([]byte(nil), payload...)
	}
	return ending{}
}

func (c *Conn) message(kind opcode, data []byte) {
	if kind == opText {
		c.text(data)
	} else {
		c.binary()
	}
}

// goodbye reads a client's close frame (RFC 6455, section 5.5.1).
func goodbye(payload []byte) ending {
	if len(payload) < 2 {
		return ending{reason: TransportClose, code: websocket.CloseNoStatusReceived}
	}
	code := int(binary.BigEndian.Uint16(payload))
	if !mayBeSent(code) || !utf8.Valid(payload[2:]) {
		return ending{reason: ParseError, tell: true}
	}
	return ending{reason: TransportClose, code: code}
}

// mayBeSent reports whether a client may close with code (RFC 6455, section
// 7.4, and what IANA has registered since).
func mayBeSent(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// unmask undoes a client's masking (RFC 6455, section 5.3), eight bytes at a
// time.
func unmask(data []byte, mask [4]byte) {
	key := binary.LittleEndian.Uint32(mask[:])
	wide := uint64(key)<<32 | uint64(key)
	for len(data) >= 8 {
		binary.LittleEndian.PutUint64(data, binary.LittleEndian.Uint64(data)^wide)
		data = data[8:]
	}
	for i := range data {
		data[i] ^= mask[i%4]
	}
}
