// Package packet turns bytes into Socket.IO v5 packets and into Moim's plain
// messages, and back. It does no I/O and knows no sockets, rooms or handlers.
//
// The decoders accept any input: they never panic, look at every byte a
// bounded number of times and refuse what a peer of theirs could not use, such
// as text that is not UTF-8. JSON values stay as they were sent: numbers keep
// their digits and objects their order. Decoded values share memory with the
// input.
//
// A payload beyond the bounds of [rawjson.Check] is refused, except that of an
// event or a message. Those have an answer, which says more than a refused
// packet: check the data before it is decoded.
//
// Binary packets (types 5 and 6) and their attachments are not supported: they
// are refused with [ErrBinary].
package packet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/moim-live/moim/internal/rawjson"
)

// Bounds of what is decoded.
const (
	MaxArgs      = 64  // arguments of an event or an acknowledgement
	MaxNamespace = 256 // bytes of a namespace
)

// Errors of the decoders. Test with errors.Is: they come wrapped with what was
// wrong.
var (
	ErrMalformed = errors.New("packet: malformed")
	ErrBinary    = errors.New("packet: binary packets are not supported")
)

// Type says what a [Packet] is for. Its value is the digit on the wire.
type Type int

// The types of Socket.IO v5.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
	binaryEvent
	binaryAck
)

// Packet is one Socket.IO packet.
type Packet struct {
	Type      Type
	Namespace string // "/" when the wire names none
	ID        uint64 // of an acknowledgement that is asked for or given
	HasID     bool
	Name      string            // of an event; a number on the wire becomes its digits
	Args      []json.RawMessage // of an event, without its name, and of an acknowledgement
	Data      json.RawMessage   // of Connect (an object or nothing) and ConnectError (an object or a string)
}

// reserved are the names that clients and servers use for themselves.
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true,
	"disconnecting": true, "newListener": true, "removeListener": true,
}

// Reserved reports whether an event cannot be called name: clients close the
// connection over which they receive such an event.
func Reserved(name string) bool { return reserved[name] }

// Decode reads one packet, without Engine.IO's type digit. The error is an
// [ErrMalformed] or an [ErrBinary].
func Decode(data []byte) (Packet, error) {
	if len(data) == 0 {
		return Packet{}, malformed("it is empty")
	}
	p := Packet{Type: Type(data[0]) - '0', Namespace: "/"}
	switch {
	case p.Type == binaryEvent || p.Type == binaryAck:
		return Packet{}, ErrBinary
	case p.Type < Connect || p.Type > binaryAck:
		return Packet{}, malformed("unknown type")
	}
	rest := data[1:]
	if len(rest) > 0 && rest[0] == '/' {
		var namespace []byte
		namespace, rest = cut(rest, ',')
		if len(namespace) > MaxNamespace {
			return Packet{}, malformed("the namespace is too long")
		}
		p.Namespace = string(namespace)
	}
	rest, err := p.decodeID(rest)
	if err != nil {
		return Packet{}, err
	}
	if err := checkText(data); err != nil {
		return Packet{}, err
	}
	if err := p.decodePayload(rest); err != nil {
		return Packet{}, err
	}
	return p, nil
}

// cut returns what stands before the first sep and what stands after it.
func cut(data []byte, sep byte) (before, after []byte) {
	for i, c := range data {
		if c == sep {
			return data[:i], data[i+1:]
		}
	}
	return data, nil
}

func (p *Packet) decodeID(data []byte) (rest []byte, err error) {
	n := 0
	for n < len(data) && data[n] >= '0' && data[n] <= '9' {
		digit := uint64(data[n] - '0')
		if p.ID > (math.MaxUint64-digit)/10 {
			return nil, malformed("the id of the acknowledgement is too large")
		}
		p.ID = p.ID*10 + digit
		n++
	}
	p.HasID = n > 0
	return data[n:], nil
}

func (p *Packet) decodePayload(data []byte) error {
	if p.HasID && p.Type != Event && p.Type != Ack {
		return malformed("this type has no id")
	}
	if p.Type != Event {
		if err := rawjson.Check(data); err != nil {
			return malformed("the payload " + err.Error())
		}
	}
	switch p.Type {
	case Connect:
		if len(data) == 0 {
			return nil
		}
		return p.decodeData(data, "{")
	case Disconnect:
		if len(data) > 0 {
			return malformed("a disconnection has no payload")
		}
		return nil
	case ConnectError:
		return p.decodeData(data, `{"`)
	case Ack:
		if !p.HasID {
			return malformed("an acknowledgement needs an id")
		}
		return p.decodeArgs(data)
	default:
		if err := p.decodeArgs(data); err != nil {
			return err
		}
		return p.takeName()
	}
}

// decodeData takes a value that begins with one of the bytes in first.
func (p *Packet) decodeData(data []byte, first string) error {
	value, err := checkJSON(data)
	if err != nil {
		return err
	}
	for i := range len(first) {
		if value[0] == first[i] {
			p.Data = value
			return nil
		}
	}
	return malformed("the payload has the wrong type")
}

func (p *Packet) decodeArgs(data []byte) error {
	value, err := checkJSON(data)
	if err != nil {
		return err
	}
	if value[0] != '[' {
		return malformed("the payload is no array")
	}
	p.Args, err = split(value, MaxArgs+1)
	return err
}

// takeName moves the first argument to the name.
func (p *Packet) takeName() error {
	if len(p.Args) == 0 {
		return malformed("an event needs a name")
	}
	switch first := p.Args[0]; {
	case first[0] == '"':
		p.Name, _ = rawjson.Text(first)
	case first[0] == '-' || first[0] >= '0' && first[0] <= '9':
		p.Name = string(first)
	default:
		return malformed("an event's name is a string")
	}
	if Reserved(p.Name) {
		return malformed("the event's name is reserved")
	}
	p.Args = p.Args[1:]
	return nil
}

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }
