package redisadapter

import (
	"encoding/binary"
	"errors"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// An envelope on a channel, which names its room:
//
//	version  1 byte
//	sender   8 bytes, random, one for each time that an adapter is made
//	number   8 bytes, big endian: counts the sender's envelopes
//	event, except, meta        each a length (uvarint) and bytes
//	count of users (uvarint), each a length and bytes
//	data     the rest
//
// A node drops what it cannot read, so a new version needs nodes that read
// both before one that writes it.
const (
	wireVersion  = 1
	numberOffset = 1 + 8
	headerSize   = numberOffset + 8

	// maxWire is the largest envelope in bytes.
	maxWire = 32 << 20
)

var (
	errTooLarge  = errors.New("redisadapter: the envelope is larger than 32 MiB")
	errVersion   = errors.New("not an envelope, or of an unknown version")
	errTruncated = errors.New("a truncated envelope")
)

// encode returns env's wire form after so many free bytes; its number is still
// to be set.
func encode(free int, sender uint64, env adapter.Envelope) ([]byte, error) {
	size := free + headerSize + len(env.Data) + len(env.Event) + len(env.Except) + len(env.Meta) + (4+len(env.To))*binary.MaxVarintLen32
	for _, user := range env.To {
		size += len(user)
	}
	if size > maxWire {
		return nil, errTooLarge
	}
	b := make([]byte, free+headerSize, size)
	b[free] = wireVersion
	binary.BigEndian.PutUint64(b[free+1:], sender)
	for _, s := range [...]string{env.Event, env.Except, env.Meta} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(env.To)))
	for _, user := range env.To {
		b = appendString(b, user)
	}
	return append(b, env.Data...), nil
}

// setNumber numbers an encoded envelope.
func setNumber(wire []byte, number uint64) { binary.BigEndian.PutUint64(wire[numberOffset:], number) }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// header is what is read of every envelope.
type header struct{ sender, number uint64 }

// decodeHeader reads the beginning of an envelope. It accepts any input.
func decodeHeader(wire string) (header, error) {
	if len(wire) < headerSize {
		if len(wire) > 0 && wire[0] == wireVersion {
			return header{}, errTruncated
		}
		return header{}, errVersion
	}
	if wire[0] != wireVersion {
		return header{}, errVersion
	}
	return header{sender: uint64At(wire, 1), number: uint64At(wire, numberOffset)}, nil
}

func uint64At(s string, at int) uint64 {
	var n uint64
	for i := range 8 {
		n = n<<8 | uint64(s[at+i])
	}
	return n
}

// decode reads an envelope of a room whose header was read. It accepts any
// input, never panics and allocates no more than the input's size demands.
func decode(room, wire string) (adapter.Envelope, error) {
	if len(wire) < headerSize || len(wire) > maxWire {
		return adapter.Envelope{}, errTruncated
	}
	r := reader{rest: wire[headerSize:]}
	env := adapter.Envelope{Room: room, Event: r.string(), Except: r.string(), Meta: r.string()}
	if users := r.uvarint(); users > uint64(len(r.rest)) { // each takes a byte at least
		r.failed = true
	} else if users > 0 {
		env.To = make([]string, 0, users)
		for range users {
			env.To = append(env.To, r.string())
		}
	}
	if r.failed {
		return adapter.Envelope{}, errTruncated
	}
	env.Data = []byte(r.rest)
	return env, nil
}

// reader takes fields off a string; once it failed it yields zero values.
type reader struct {
	rest   string
	failed bool
}

func (r *reader) uvarint() uint64 {
	var n uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		b := r.rest[i]
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break // it does not fit
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.failed, r.rest = true, ""
	return 0
}

func (r *reader) string() string {
	size := r.uvarint()
	if size > uint64(len(r.rest)) {
		r.failed, r.rest = true, ""
		return ""
	}
	s := r.rest[:size]
	r.rest = r.rest[size:]
	return s
}
