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
// Version 3 has, before the data, a byte of flags, and the count of attachments
// (uvarint), each a length and bytes. A node writes it only for envelopes that
// version 1 cannot hold. If the flags say so, the attachments are followed by the offset: a
// length and bytes. The flag trace says that the last attachment is the trace. A node of a
// version without traces takes it for an attachment, which the interceptors of events with
// a trace do not read.
//
// 2 begins a signed envelope: see seal.go. A node drops what it cannot read. Before any node writes a new version, all
// nodes must read it.
const (
	wireVersion  = 1
	wireVersion3 = 3
	numberOffset = 1 + 8
	headerSize   = numberOffset + 8

	// The flags of version 3.
	flagList     = 1
	flagVolatile = 2
	flagOffset   = 4
	flagLossy    = 8
	flagTrace    = 16

	// maxWire is the largest envelope in bytes.
	maxWire = 32 << 20
)

var (
	errTooLarge  = errors.New("redisadapter: the envelope is larger than 32 MiB")
	errVersion   = errors.New("not an envelope, or of an unknown version")
	errTruncated = errors.New("a truncated envelope")
)

// encode returns env's wire form after some free bytes. Its number is set
// later.
func encode(free int, sender uint64, env adapter.Envelope) ([]byte, error) {
	size := free + headerSize + len(env.Data) + len(env.Event) + len(env.Except) + len(env.Meta) + (4+len(env.To))*binary.MaxVarintLen32
	for _, user := range env.To {
		size += len(user)
	}
	for _, attachment := range env.Binary {
		size += len(attachment) + binary.MaxVarintLen32
	}
	size += 1 + 3*binary.MaxVarintLen32 + len(env.Offset) + len(env.Trace)
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
	if env.List || env.Volatile || env.Lossy || len(env.Binary) > 0 || env.Offset != "" || env.Trace != "" {
		b[free] = wireVersion3
		b = appendVersion3(b, env)
	}
	return append(b, env.Data...), nil
}

func appendVersion3(b []byte, env adapter.Envelope) []byte {
	var flags byte
	if env.List {
		flags |= flagList
	}
	if env.Volatile {
		flags |= flagVolatile
	}
	if env.Offset != "" {
		flags |= flagOffset
	}
	if env.Lossy {
		flags |= flagLossy
	}
	attachments := len(env.Binary)
	if env.Trace != "" {
		flags |= flagTrace
		attachments++
	}
	b = binary.AppendUvarint(append(b, flags), uint64(attachments))
	for _, attachment := range env.Binary {
		b = appendString(b, string(attachment))
	}
	if env.Trace != "" {
		b = appendString(b, env.Trace)
	}
	if env.Offset != "" {
		b = appendString(b, env.Offset)
	}
	return b
}

// setNumber numbers an encoded envelope.
func setNumber(wire []byte, number uint64) { binary.BigEndian.PutUint64(wire[numberOffset:], number) }

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// header is what is read first of every envelope.
type header struct{ sender, number uint64 }

// decodeHeader reads the beginning of an envelope. It accepts any input.
func decodeHeader(wire string) (header, error) {
	if len(wire) < headerSize {
		if len(wire) > 0 && knownVersion(wire[0]) {
			return header{}, errTruncated
		}
		return header{}, errVersion
	}
	if !knownVersion(wire[0]) {
		return header{}, errVersion
	}
	h := []byte(wire[:headerSize])
	return header{sender: binary.BigEndian.Uint64(h[1:]), number: binary.BigEndian.Uint64(h[numberOffset:])}, nil
}

func knownVersion(version byte) bool { return version == wireVersion || version == wireVersion3 }

// decode reads an envelope whose header was read. It accepts any input, never
// panics, and allocates no more than the size of the input justifies.
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
	if wire[0] == wireVersion3 {
		r.version3(&env)
	}
	if r.failed {
		return adapter.Envelope{}, errTruncated
	}
	env.Data = []byte(r.rest)
	return env, nil
}

// reader reads fields from a string. After a failure it returns zero values.
type reader struct {
	rest   string
	failed bool
}

func (r *reader) version3(env *adapter.Envelope) {
	if len(r.rest) == 0 {
		r.failed = true
		return
	}
	flags := r.rest[0]
	env.List, env.Volatile, env.Lossy = flags&flagList != 0, flags&flagVolatile != 0, flags&flagLossy != 0
	r.rest = r.rest[1:]
	attachments := r.uvarint()
	if attachments > uint64(len(r.rest)) {
		r.failed = true
		return
	}
	for range attachments {
		env.Binary = append(env.Binary, []byte(r.string()))
	}
	if last := len(env.Binary) - 1; flags&flagTrace != 0 && last >= 0 {
		env.Trace, env.Binary = string(env.Binary[last]), env.Binary[:last:last]
		if last == 0 {
			env.Binary = nil
		}
	}
	if flags&flagOffset != 0 {
		env.Offset = r.string()
	}
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint([]byte(r.rest[:min(len(r.rest), binary.MaxVarintLen64)]))
	if size <= 0 {
		r.failed, r.rest = true, ""
		return 0
	}
	r.rest = r.rest[size:]
	return n
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
