package engine

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Frame is an encoded message. It is encoded once, shared by all connections that
// it is sent to, and never modified.
type Frame struct {
	wire   []byte // a whole WebSocket frame, followed by those of binary messages
	header int    // bytes of the first frame's header
	offset string // see WithOffset
	lossy  bool   // see Lossy
}

// Protocol is the protocol inside WebSocket messages.
type Protocol int

// The protocols.
const (
	EngineIO Protocol = iota // Engine.IO v4: a packet type digit before each message
	Plain                    // messages without a prefix
)

// messagePrefix is Engine.IO's packet type 4, "message".
var messagePrefix = []byte{'4'}

// Frame encodes one message as a text frame: the concatenation of parts.
func (p Protocol) Frame(parts ...[]byte) *Frame {
	var prefix []byte
	if p == EngineIO {
		prefix = messagePrefix
	}
	size := len(prefix)
	for _, part := range parts {
		size += len(part)
	}
	wire := appendHeader(make([]byte, 0, maxHeader+size), opText, size)
	f := &Frame{header: len(wire)}
	wire = append(wire, prefix...)
	for _, part := range parts {
		wire = append(wire, part...)
	}
	f.wire = wire
	return f
}

// opcode is the kind of a WebSocket frame (RFC 6455, section 5.2).
type opcode byte

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xa
)

// fin is set in the first byte of a message's last frame.
const fin = 0x80

// control reports whether the frame may stand between the fragments of a message.
func (op opcode) control() bool { return op >= opClose }

// controlFrame returns a control frame. The payload has at most 125 bytes.
func controlFrame(op opcode, payload []byte) *Frame {
	wire := append([]byte{fin | byte(op), byte(len(payload))}, payload...)
	return &Frame{wire: wire, header: 2}
}

// WithBinary returns f followed by binary messages, so that nothing comes between
// them.
func (f *Frame) WithBinary(messages [][]byte) *Frame {
	if len(messages) == 0 {
		return f
	}
	size := len(f.wire)
	for _, message := range messages {
		size += maxHeader + len(message)
	}
	all := new(*f)
	all.wire = append(make([]byte, 0, size), f.wire...)
	for _, message := range messages {
		all.wire = append(appendHeader(all.wire, opBinary, len(message)), message...)
	}
	return all
}

// WithOffset returns f with the name of its event. The name is the same on all nodes.
func (f *Frame) WithOffset(offset string) *Frame {
	named := new(*f)
	named.offset = offset
	return named
}

// Lossy returns f as a frame that a connection with a long queue drops, and that does not
// count towards its backlog.
func (f *Frame) Lossy() *Frame {
	lossy := new(*f)
	lossy.lossy = true
	return lossy
}

// IsLossy reports whether f may be dropped.
func (f *Frame) IsLossy() bool { return f.lossy }

// Offset returns the name of the event, or an empty string.
func (f *Frame) Offset() string { return f.offset }

// Wire returns the encoded frame, for [ParseFrame] on another node. Do not modify it.
func (f *Frame) Wire() []byte { return f.wire }

// ParseFrame returns the frame of an Engine.IO message from the result of [Frame.Wire], or
// nil for any other input.
func ParseFrame(wire []byte, offset string) *Frame {
	if len(wire) == 0 {
		return nil
	}
	f := &Frame{wire: wire, offset: offset}
	for i, rest := 0, wire; len(rest) > 0; i++ {
		h, want := readHeader(rest), opBinary
		if i == 0 {
			want = opText
		}
		if h.length == 0 || h.op != want || h.masked || h.reserved || !h.fin || h.size > uint64(len(rest)-h.length) {
			return nil
		}
		if i == 0 {
			f.header = h.length
			if message := rest[h.length:][:h.size]; !bytes.HasPrefix(message, messagePrefix) || !utf8.Valid(message) {
				return nil
			}
		}
		rest = rest[h.length+int(h.size):]
	}
	return f
}

// messages calls yield for each message of the frame.
func (f *Frame) messages(yield func(kind opcode, payload []byte)) {
	for rest := f.wire; len(rest) > 0; {
		h := readHeader(rest)
		end := h.length + int(h.size)
		yield(h.op, rest[h.length:end])
		rest = rest[end:]
	}
}

// Payload returns the message without its WebSocket header, for a frame without
// binary messages. Do not modify it.
func (f *Frame) Payload() []byte { return f.wire[f.header:] }

// Len returns the size of the WebSocket frame in bytes.
func (f *Frame) Len() int { return len(f.wire) }

// maxHeader is the size of the longest header of a server's frame, in bytes.
const maxHeader = 10

// appendHeader appends the header of an unmasked, unfragmented frame (RFC 6455,
// section 5.2).
func appendHeader(dst []byte, op opcode, size int) []byte {
	first := fin | byte(op)
	switch {
	case size < 126:
		return append(dst, first, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(size))
	}
}
