package packet

import (
	"encoding/json"
	"strconv"

	"github.com/moim-live/moim/internal/rawjson"
)

// Message is what goes over a plain WebSocket: a request {id?, event, data?},
// its answer {id, data} or {id, error}, or an event that is pushed, {event,
// data}.
type Message struct {
	ID    uint64 // asks for an answer, or belongs to one
	HasID bool
	Event string
	Data  json.RawMessage
	Error json.RawMessage // of an answer; excludes Data
}

// DecodeMessage reads a client's request: an object with the fields event (a
// string that is not empty), id (a whole number from 0 to 2^64-1; none when no
// answer is wanted) and data (any JSON). Others are refused, and so are
// repeated ones. The error is an [ErrMalformed]; the id is set beside it when it
// could be read, so that the answer can carry it.
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
		return m, malformed("it is no object")
	}
	members, err := split(value, 16)
	if err != nil {
		return m, err
	}
	var wrong error
	seen := make(map[string]bool, len(members))
	for _, field := range members {
		key, value := rawjson.Member(field)
		var err error
		if seen[key] {
			err = malformed("a field is repeated")
		} else {
			seen[key] = true
			err = m.set(key, value)
		}
		if err != nil && wrong == nil {
			wrong = err
		}
	}
	if wrong == nil && m.Event == "" {
		wrong = malformed("event is missing")
	}
	return m, wrong
}

func (m *Message) set(key string, value json.RawMessage) error {
	switch key {
	case "id":
		id, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			return malformed("id is no whole number from 0 to 2^64-1")
		}
		m.ID, m.HasID = id, true
	case "event":
		name, ok := rawjson.Text(value)
		if !ok {
			return malformed("event is no string")
		}
		m.Event = name
	case "data":
		m.Data = value
	default:
		return malformed("it has a field besides id, event and data")
	}
	return nil
}

// Append appends the message's wire form to dst. Data and Error must be valid
// JSON; what is neither an error nor has data gets data null.
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

// MessageParts returns the wire form of a pushed event in three parts, the
// second of which is data itself.
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
