package engine

import "encoding/binary"

// Frame is an encoded message, built once and shared by every connection that
// it is sent to. It is never modified after construction.
type Frame struct {
	wire []byte // a whole WebSocket frame: header and payload
	head int    // length of the header
}

// Protocol is what is spoken inside a WebSocket message.
type Protocol int

// The protocols.
const (
	EngineIO Protocol = iota // Engine.IO v4: a packet type digit before each message
	Plain                    // the message itself
)

// messagePrefix is Engine.IO's packet type 4, "message".
var messagePrefix = []byte{'4'}

// Frame returns the text frame of one message of protocol p: the concatenation
// of parts.
func (p Protocol) Frame(parts ...[]byte) *Frame {
	if p == EngineIO {
		return newFrame(messagePrefix, parts...)
	}
	return newFrame(nil, parts...)
}

func newFrame(prefix []byte, parts ...[]byte) *Frame {
	size := len(prefix)
	for _, part := range parts {
		size += len(part)
	}
	wire := appendHeader(make([]byte, 0, maxHeader+size), size)
	f := &Frame{head: len(wire)}
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

// control reports whether frames of this kind may come between those of a
// message.
func (op opcode) control() bool { return op >= opClose }

// controlFrame returns a control frame; payload has at most 125 bytes.
func controlFrame(op opcode, payload []byte) *Frame {
	const fin = 0x80
	wire := append([]byte{fin | byte(op), byte(len(payload))}, payload...)
	return &Frame{wire: wire, head: 2}
}

// op returns the frame's kind.
func (f *Frame) op() opcode { return opcode(f.wire[0] & 0xf) }

// Payload returns the message without its WebSocket framing; do not modify it.
func (f *Frame) Payload() []byte { return f.wire[f.head:] }

// Len returns the frame's size on a WebSocket in bytes.
func (f *Frame) Len() int { return len(f.wire) }

// maxHeader is the longest header of a server's frame, in bytes.
const maxHeader = 10

// appendHeader appends the header of an unmasked, unfragmented text frame
// (RFC 6455, section 5.2).
func appendHeader(dst []byte, size int) []byte {
	const finText = 0x81
	switch {
	case size < 126:
		return append(dst, finText, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, finText, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(dst, finText, 127), uint64(size))
	}
}
