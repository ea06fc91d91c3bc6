package packet

import (
	"cmp"
	"encoding/json"
	"strconv"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Message is a message over a plain WebSocket: a request {id?, event, data?}, its answer
// {id, data} or {id, error}, or an event from the server {event, data}.
type Message struct {
	ID    uint64 // of a request that asks for an answer, or of the answer
	HasID bool
	Event string
	Data  json.RawMessage
	Error json.RawMessage // in an answer, instead of Data
}

// DecodeMessage decodes a client's request: an object with the fields event (a non-empty
// string), id (optional: a whole number from 0 to 2^64-1) and data (optional: any JSON).
// Unknown and repeated fields are refused. The error is an [ErrMalformed]. If the id is
// valid, it is set even with an error, so that the answer can carry it.
func DecodeMessage(data []byte) (Message, error) {
	var m Message
	if err := checkText(data); err != nil {
		return m, err
	}
	value, err := checkJSON(data)
	if err != nil {
		return m, err
	}
	if value[0] != '{' {
		return m, malformed("it is not an object")
	}
	members, err := split(value, 16)
	if err != nil {
		return m, err
	}
	seen := make(map[string]bool, len(members))
	for _, field := range members { // look at all of them to find the id
		key, value := rawjson.Member(field)
		if seen[key] {
			err = cmp.Or(err, malformed("a field is repeated"))
			continue
		}
		seen[key] = true
		err = cmp.Or(err, m.set(key, value))
	}
	if err == nil && m.Event == "" {
		err = malformed("event is missing")
	}
	return m, err
}

func (m *Message) set(key string, value json.RawMessage) error {
	switch key {
	case "id":
		id, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			return malformed("id is not a whole number from 0 to 2^64-1")
		}
		m.ID, m.HasID = id, true
	case "event":
		name, ok := rawjson.Text(value)
		if !ok {
			return malformed("event is not a string")
		}
		m.Event = name
	case "data":
		m.Data = value
	default:
		return malformed("it has a field besides id, event and data")
	}
	return nil
}

// Append appends the encoded message to dst. Data and Error must be valid JSON. Without
// either, data is null.
func (m Message) Append(dst []byte) []byte {
	dst = append(dst, '{')
	if m.HasID {
		dst = append(dst, `"id":`...)
		dst = strconv.AppendUint(dst, m.ID, 10)
		dst = append(dst, ',')
	}
	if m.Event != "" {
		dst = append(dst, `"event":`...)
		dst = rawjson.AppendString(dst, m.Event)
		dst = append(dst, ',')
	}
	switch {
	case len(m.Error) > 0:
		dst = append(dst, `"error":`...)
		dst = append(dst, m.Error...)
	case len(m.Data) > 0:
		dst = append(dst, `"data":`...)
		dst = append(dst, m.Data...)
	default:
		dst = append(dst, `"data":null`...)
	}
	return append(dst, '}')
}

// MessageParts encodes an event from the server as three parts. body is data itself, or
// null.
func MessageParts(event string, data []byte) (head, body, tail []byte) {
	head = append(make([]byte, 0, len(event)+20), `{"event":`...)
	head = rawjson.AppendString(head, event)
	head = append(head, `,"data":`...)
	if len(data) == 0 {
		data = null
	}
	return head, data, closeObject
}

var null = []byte("null")
