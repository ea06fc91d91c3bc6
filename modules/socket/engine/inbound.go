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
	for len(data) >= 2 {
		h := readHeader(data)
		if end := c.check(in, h); end.reason != 0 {
			return end
		}
		whole := h.length + int(h.size)
		if h.length == 0 || len(data) < whole {
			break
		}
		payload := data[h.length:whole]
		unmask(payload, h.mask)
		data = data[whole:]
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

// maxClientHeader is the longest header of a client's frame, in bytes.
const maxClientHeader = 14

// header is that of one frame (RFC 6455, section 5.2).
type header struct {
	op       opcode
	fin      bool
	reserved bool // a bit that means nothing is set
	masked   bool
	long     bool   // the size has bytes of its own
	size     uint64 // of the payload, like the next ones known once length is
	mask     [4]byte
	length   int // of the header, in bytes; 0: too little of it has come
}

// readHeader reads the header that data begins with, two bytes of it at least.
func readHeader(data []byte) (h header) {
	const fin, reserved, masked = 0x80, 0x70, 0x80
	if len(data) < 2 {
		return h
	}
	h.op, h.fin = opcode(data[0]&0xf), data[0]&fin != 0
	h.reserved, h.masked = data[0]&reserved != 0, data[1]&masked != 0
	h.size = uint64(data[1] &^ masked)
	length := 2
	switch h.size {
	case 126:
		length = 4
	case 127:
		length = 10
	}
	h.long = length > 2
	maskAt := length
	if h.masked {
		length += len(h.mask)
	}
	if len(data) < length {
		return h
	}
	switch maskAt {
	case 4:
		h.size = uint64(binary.BigEndian.Uint16(data[2:]))
	case 10:
		h.size = binary.BigEndian.Uint64(data[2:])
	}
	if h.masked {
		copy(h.mask[:], data[maskAt:])
	}
	h.length = length
	return h
}

// check refuses a frame that breaks the protocol or is too large, before any
// more of it has come.
func (c *Conn) check(in *inbound, h header) ending {
	limit := uint64(c.engine.cfg.MaxFrame)
	switch {
	case h.reserved || !h.masked || !h.follows(in), h.op.control() && (!h.fin || h.long):
		return ending{reason: ParseError, tell: true}
	case h.length == 0 || h.op.control():
	case h.size > limit || h.size+uint64(len(in.message)) > limit:
		return ending{reason: TooLarge, tell: true}
	}
	return ending{}
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
			return c.message(kind, message)
		}
	default:
		if h.fin {
			return c.message(h.op, payload)
		}
		in.kind, in.message = h.op, append([]byte(nil), payload...)
	}
	return ending{}
}

// goodbye reads a client's close frame (RFC 6455, section 5.5.1).
func goodbye(payload []byte) ending {
	switch len(payload) {
	case 0:
		return ending{reason: TransportClose, code: websocket.CloseNoStatusReceived}
	case 1:
		return ending{reason: ParseError, tell: true}
	}
	code := int(binary.BigEndian.Uint16(payload))
	if !mayBeSent(code) || !utf8.Valid(payload[2:]) {
		return ending{reason: ParseError, tell: true}
	}
	return ending{reason: TransportClose, code: code}
}

// mayBeSent reports whether a client may close with code (RFC 6455, section
// 7.4, and what IANA has registered since). gorilla knows no 1014.
func mayBeSent(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1013 || code >= 3000 && code <= 4999
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
