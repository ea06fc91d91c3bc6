package nodebridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// kind is the kind of a request or an answer.
type kind int

const (
	unknown kind = iota // not needed here
	broadcast
	join
	leave
	disconnect
	fetch
	listRooms
	listSockets
	answerSockets
	answerRooms
	answerIDs
	answerCount // number of clients that were asked for an acknowledgement
	answerAck
)

// message is a message between the servers of either of Node's adapters.
type message struct {
	kind      kind
	namespace string
	sender    string // id of the server; empty in some messages
	question  string // id of the question, in the question and its answers; may be empty

	to      selection
	event   adapter.Envelope // to broadcast
	timeout time.Duration    // for acknowledgements; 0 if unknown
	rooms   []string         // to join or leave, or the answer
	close   bool             // also close the connection
	sockets []remoteSocket   // the answer
	count   int              // the answer
	ack     socket.Args      // the answer
}

// selection is the JSON of a [socket.Selection].
type selection struct {
	Rooms  names  `json:"rooms"`
	Except names  `json:"except"`
	Flags  *flags `json:"flags,omitempty"`
}

// names are names of rooms. Rooms of Node's servers may also be numbers.
type names []string

// UnmarshalJSON implements [json.Unmarshaler].
func (n *names) UnmarshalJSON(data []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil || list == nil {
		return err
	}
	*n = make(names, len(list))
	for i, name := range list {
		var number json.Number
		if json.Unmarshal(name, &(*n)[i]) == nil {
			continue
		}
		if err := json.Unmarshal(name, &number); err != nil {
			return err
		}
		(*n)[i] = number.String()
	}
	return nil
}

type flags struct {
	Volatile bool    `json:"volatile,omitempty"`
	Timeout  float64 `json:"timeout,omitempty"` // in milliseconds
}

func selectionOf(to socket.Selection) selection {
	return selection{Rooms: notNil(to.Rooms), Except: notNil(to.Except), Flags: &flags{}}
}

// notNil returns a list that is encoded as a JSON array, even if it is empty.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (m *message) selection() socket.Selection {
	return socket.Selection{Namespace: m.namespace, Rooms: m.to.Rooms, Except: m.to.Except}
}

// setTimeout sets the time for acknowledgements from the flags.
func (m *message) setTimeout() {
	if m.to.Flags != nil && m.to.Flags.Timeout > 0 {
		m.timeout = time.Duration(min(m.to.Flags.Timeout, maxPatience.Seconds()*1000)) * time.Millisecond
	}
}

// eventPacket is an event in the form of a Socket.IO packet.
type eventPacket struct {
	Type      int             `json:"type"`
	Data      json.RawMessage `json:"data"` // an array: the name and the arguments
	Namespace string          `json:"nsp,omitempty"`
}

// remoteSocket is a socket in the form that Node's servers expect.
type remoteSocket struct {
	ID        string          `json:"id"`
	Handshake json.RawMessage `json:"handshake"`
	Rooms     names           `json:"rooms"`
	Data      json.RawMessage `json:"data"`
}

// eventType is the packet type of an event, binary or not.
const eventType = 2

func packetOf(m message, namespace string) eventPacket {
	data := rawjson.AppendString([]byte{'['}, m.event.Event)
	if len(m.event.Data) > 0 {
		data = append(append(data, ','), m.event.Data...) // data has the arguments, separated by commas
	}
	return eventPacket{eventType, append(data, ']'), namespace}
}

func (p eventPacket) encode() (json.RawMessage, error) { return rawjson.Marshal(p) }

// maxArgs is the maximum number of arguments of an event.
const maxArgs = 1000

// setEvent reads the event in a packet. attachments are those of the whole message; the
// event must contain all of them.
func (m *message) setEvent(p eventPacket, attachments [][]byte) error {
	if p.Type != eventType && p.Type != eventType+3 || len(p.Data) == 0 || p.Data[0] != '[' {
		return fmt.Errorf("%w: it has no event", errMalformed)
	}
	args, all := rawjson.Split(p.Data, maxArgs)
	if !all || len(args) == 0 {
		return fmt.Errorf("%w: it has no event, or more than %d arguments", errMalformed, maxArgs)
	}
	name, isText := rawjson.Text(args[0])
	if !isText {
		return fmt.Errorf("%w: the event's name is not a string", errMalformed)
	}
	args = args[1:]
	m.event = adapter.Envelope{
		Event:  name,
		Data:   bytes.Join(toBytes(args), []byte{','}),
		List:   len(args) != 1,
		Binary: attachments,
	}
	if m.to.Flags != nil {
		m.event.Volatile = m.to.Flags.Volatile
	}
	return checkAttachments(m.event.Data, attachments)
}

func toBytes(args []json.RawMessage) [][]byte {
	list := make([][]byte, len(args))
	for i, arg := range args {
		list[i] = arg
	}
	return list
}

// setCount reads a number of clients.
func (m *message) setCount(n *int) error {
	if n == nil || *n < 0 || *n > maxValues {
		return fmt.Errorf("%w: it has no number of clients", errMalformed)
	}
	m.kind, m.count = answerCount, *n
	return nil
}

// setAck reads the argument of an acknowledgement.
func (m *message) setAck(arg json.RawMessage, attachments [][]byte) error {
	if arg == nil {
		arg = json.RawMessage("null")
	}
	if err := checkAttachments(arg, attachments); err != nil {
		return err
	}
	values, err := argsOf(arg, attachments)
	m.ack = values
	return err
}

// checkAttachments returns an error unless text contains the placeholders of all
// attachments.
func checkAttachments(text []byte, attachments [][]byte) error {
	if len(attachments) > 0 && bytes.Count(text, []byte(placeholderStart)) != len(attachments) {
		return fmt.Errorf("%w: binary data in the wrong place", errMalformed)
	}
	return nil
}

// read converts a payload to JSON, with placeholders for its binary data.
func read(payload string) (text []byte, attachments [][]byte, err error) {
	switch {
	case len(payload) > maxBytes:
		return nil, nil, errTooLong
	case !strings.HasPrefix(payload, "{"):
		return fromMsgpack([]byte(payload))
	}
	text = bytes.ToValidUTF8([]byte(payload), []byte("\uFFFD"))
	return text, nil, checkText(text)
}

// checkText returns an error for JSON beyond the limits.
func checkText(text []byte) error {
	switch {
	case rawjson.Depth(text) > maxDepth:
		return errTooDeep
	case rawjson.CountValues(text) > maxValues:
		return errTooMany
	}
	return nil
}

// write encodes v as JSON, or as msgpack if binary is set or there are attachments.
func write(v any, attachments [][]byte, binary bool) (string, error) {
	text, err := rawjson.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("nodebridge: encode a message: %w", err)
	}
	if len(text)+size(attachments) > maxBytes {
		return "", errTooLong
	}
	if err := checkText(text); err != nil || !binary && len(attachments) == 0 {
		return string(text), err
	}
	data, err := toMsgpack(text, attachments)
	if err == nil && len(data) > maxBytes {
		err = errTooLong
	}
	return string(data), err
}

func size(attachments [][]byte) (n int) {
	for _, a := range attachments {
		n = min(n+len(a), math.MaxInt32)
	}
	return n
}

func unmarshal(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}
