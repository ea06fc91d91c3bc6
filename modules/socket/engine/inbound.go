package engine

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// readBytes is the maximum number of bytes that the poller reads from a connection at a
// time.
const readBytes = 16 << 10

// readEnd is the reason why reading from a connection ended. The zero value means that
// reading continues.
type readEnd struct {
	reason    Reason
	notify    bool // the client broke the protocol and gets a close frame
	closeCode int  // of the client's close frame; 0 if there was none
}

// inbound is the incomplete input of one connection (RFC 6455, section 5). A connection
// without incomplete input has none.
type inbound struct {
	rest    []byte // the beginning of a frame
	message []byte // the first fragments of a message
	kind    opcode // kind of that message; opContinuation if there is none
}

// feed parses bytes from the client and handles the complete frames. It modifies
// data, but does not keep it.
func (c *Conn) feed(data []byte) readEnd {
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
	if len(data) != len(in.rest) { // otherwise, data is rest itself
		in.rest = append(in.rest[:0], data...)
	}
	if len(in.rest) == 0 && in.kind == opContinuation {
		in = nil
	}
	c.inbound = in
	return readEnd{}
}

// maxClientHeader is the size of the longest header of a client's frame, in
// bytes.
const maxClientHeader = 14

// header is the header of one frame (RFC 6455, section 5.2).
type header struct {
	op       opcode
	fin      bool
	reserved bool // a reserved bit is set
	masked   bool
	extended bool   // the size has its own 2 or 8 bytes
	length   int    // bytes of the header; 0 if it is incomplete
	size     uint64 // bytes of the payload; valid if length is not 0
	mask     [4]byte
}

// readHeader reads the header at the beginning of data.
func readHeader(data []byte) (h header) {
	const reserved, masked = 0x70, 0x80
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
	h.extended = length > 2
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

// check validates a frame from the part of its header that has arrived.
func (c *Conn) check(in *inbound, h header) readEnd {
	limit := uint64(c.engine.cfg.MaxFrame)
	switch {
	case h.reserved || !h.masked || !h.allowedIn(in), h.op.control() && (!h.fin || h.extended):
		return readEnd{reason: ParseError, notify: true}
	case h.length == 0 || h.op.control():
	case h.size > limit || h.size+uint64(len(in.message)) > limit:
		return readEnd{reason: TooLarge, notify: true}
	}
	return readEnd{}
}

// allowedIn reports whether a frame of this kind is allowed now.
func (h header) allowedIn(in *inbound) bool {
	switch h.op {
	case opContinuation:
		return in.kind != opContinuation
	case opText, opBinary:
		return in.kind == opContinuation
	default:
		return h.op == opClose || h.op == opPing || h.op == opPong
	}
}

// frame handles a complete frame.
func (c *Conn) frame(in *inbound, h header, payload []byte) readEnd {
	switch h.op {
	case opClose:
		return parseClose(payload)
	case opPing:
		c.pinged(payload)
	case opPong:
		c.webSocketPonged()
	case opContinuation:
		if len(payload) == 0 && !h.fin {
			c.Control()
		}
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
	return readEnd{}
}

// parseClose parses a client's close frame (RFC 6455, section 5.5.1).
func parseClose(payload []byte) readEnd {
	switch len(payload) {
	case 0:
		return readEnd{reason: TransportClose, closeCode: websocket.CloseNoStatusReceived}
	case 1:
		return readEnd{reason: ParseError, notify: true}
	}
	code := int(binary.BigEndian.Uint16(payload))
	if !validCloseCode(code) || !utf8.Valid(payload[2:]) {
		return readEnd{reason: ParseError, notify: true}
	}
	return readEnd{reason: TransportClose, closeCode: code}
}

// validCloseCode reports whether a client may close with code (RFC 6455, section 7.4, and
// IANA's registry). It refuses 1014, which is registered, because gorilla does.
func validCloseCode(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1013 || code >= 3000 && code <= 4999
}

// unmask removes a client's mask (RFC 6455, section 5.3), eight bytes at a time.
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
