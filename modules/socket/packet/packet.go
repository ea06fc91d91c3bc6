// Package packet decodes and encodes Socket.IO v5 packets and Moim's plain messages. It does
// no I/O and knows no sockets, rooms or handlers.
//
// The decoders accept any input. They never panic, read each byte a bounded number of times,
// and refuse text that is not UTF-8. JSON values stay as they were sent: numbers keep their
// digits and objects their order. Decoded values share memory with the input.
//
// A payload beyond the limits of [rawjson.Check] is refused, except the data of an event or
// a message. The caller checks such data, because its answer can name the problem; a
// refused packet closes the connection.
//
// The header of a binary packet (types 5 and 6) says how many binary messages follow it: its
// attachments. Its arguments hold a placeholder for each. See [Packet.Values].
//
// The protocol is https://github.com/socketio/socket.io-protocol.
package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Limits of the decoders.
const (
	MaxArgs        = 64  // arguments of an event or an acknowledgement
	MaxNamespace   = 256 // bytes of a namespace
	MaxAttachments = 10  // attachments of a binary packet; Node's parsers refuse more
)

// ErrMalformed is the error of the decoders. It is wrapped with details, so test with
// errors.Is.
var ErrMalformed = errors.New("packet: malformed")

// Type is the type of a [Packet]. Its value is the digit on the wire.
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
	ID        uint64 // of an acknowledgement, or of an event that asks for one
	HasID     bool
	Name      string            // of an event; a number on the wire becomes its digits
	Args      []json.RawMessage // of an event, without its name, or of an acknowledgement
	Data      json.RawMessage   // of Connect (an object or empty) or ConnectError (an object or a string)
	Binary    [][]byte          // the attachments of an event or an acknowledgement
}

// Reserved reports whether Socket.IO reserves an event name. Clients close a connection
// that sends them such an event.
func Reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// Decode decodes one packet, without Engine.IO's type digit. binary holds the binary messages
// that followed it. The error is an [ErrMalformed].
func Decode(data []byte, binary ...[]byte) (Packet, error) {
	if len(data) == 0 {
		return Packet{}, malformed("it is empty")
	}
	p := Packet{Type: Type(data[0]) - '0', Namespace: "/", Binary: binary}
	rest, declared := data[1:], 0
	switch {
	case p.Type == binaryEvent || p.Type == binaryAck:
		n := Attachments(data)
		if n == 0 {
			return Packet{}, malformed("the number of attachments is not from 1 to 10")
		}
		declared, rest = n, rest[bytes.IndexByte(rest, '-')+1:]
		p.Type -= binaryEvent - Event
	case p.Type < Connect || p.Type > binaryAck:
		return Packet{}, malformed("unknown type")
	}
	if declared != len(binary) {
		return Packet{}, malformed("the number of attachments is not the declared one")
	}
	if len(rest) > 0 && rest[0] == '/' {
		var namespace []byte
		namespace, rest, _ = bytes.Cut(rest, []byte{','})
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

// decodeData decodes a value that must begin with one of the bytes in first.
func (p *Packet) decodeData(data []byte, first string) error {
	value, err := checkJSON(data)
	if err != nil {
		return err
	}
	if strings.IndexByte(first, value[0]) < 0 {
		return malformed("the payload has the wrong type")
	}
	p.Data = value
	return nil
}

func (p *Packet) decodeArgs(data []byte) error {
	value, err := checkJSON(data)
	if err != nil {
		return err
	}
	if value[0] != '[' {
		return malformed("the payload is not an array")
	}
	p.Args, err = split(value, MaxArgs+1)
	return err
}

// takeName moves the first argument to Name.
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
		return malformed("the event's name is not a string")
	}
	if Reserved(p.Name) {
		return malformed("the event's name is reserved")
	}
	p.Args = p.Args[1:]
	return nil
}

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }
