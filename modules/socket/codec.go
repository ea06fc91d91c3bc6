package socket

import (
	"encoding/json"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
	"github.com/moim-live/moim/modules/socket/packet"
)

// socketIOCodec encodes for the Socket.IO endpoint, plainCodec for the other. They
// have no state: all sockets of a endpoint share a broadcast's frame.
type (
	socketIOCodec struct{}
	plainCodec    struct{}
)

var (
	_ adapter.Codec = socketIOCodec{}
	_ adapter.Codec = plainCodec{}
)

// Event implements [adapter.Codec].
func (socketIOCodec) Event(event string, data []byte) *engine.Frame {
	head, body, tail := packet.EventParts(event, data)
	return engine.EngineIO.Frame(head, body, tail)
}

// Event implements [adapter.Codec].
func (plainCodec) Event(event string, data []byte) *engine.Frame {
	head, body, tail := packet.MessageParts(event, data)
	return engine.Plain.Frame(head, body, tail)
}

// problem is a failure as clients see it.
type problem struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Errors  []fault.Field `json:"errors,omitempty"`
}

func encodeFault(f *fault.Error) []byte {
	return encoded(problem{Code: f.Code, Message: f.Message, Errors: f.Fields})
}

// encodeRefusal is connect_error's data.
func encodeRefusal(f *fault.Error) []byte {
	type code struct {
		Code string `json:"code"`
	}
	type refusal struct {
		Message string `json:"message"`
		Data    code   `json:"data"`
	}
	return encoded(refusal{Message: f.Message, Data: code{Code: f.Code}})
}

// encoded is for values that hold nothing but text.
func encoded(v any) json.RawMessage {
	data, err := rawjson.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return data
}
