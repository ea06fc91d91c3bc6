package socket

import (
	"encoding/json"
	"fmt"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
)

// Binary is binary data in the arguments of an event or an acknowledgement, at any
// depth. Socket.IO clients receive it as an ArrayBuffer or a Buffer, clients of
// plain WebSockets as a string in base64.
type Binary = packet.Binary

// Args are the arguments of an event or an acknowledgement. An argument from a client is a
// json.RawMessage or a [Binary]. If it contains binary data, it is decoded JSON with
// json.Number and Binary in it. A program may send any values.
type Args []any

// Decode decodes the argument at index into dst, a pointer. Binary data goes into []byte
// and [Binary]. A missing argument counts as null.
func (a Args) Decode(index int, dst any) error {
	data, err := a.json(index)
	if err != nil {
		return err
	}
	if err := unmarshal(data, dst); err != nil {
		return decodeFault(err)
	}
	return nil
}

// json returns an argument as JSON, with binary data as base64.
func (a Args) json(index int) (json.RawMessage, error) {
	if index >= len(a) {
		return json.RawMessage("null"), nil
	}
	data, binary, err := packet.EncodeArgs(a[index : index+1])
	if err != nil {
		return nil, fmt.Errorf("encode an argument: %w", err)
	}
	return packet.Inline(data, binary), nil
}

// checkArgs returns a fault for arguments that exceed the limits of [rawjson.Check].
func checkArgs(args []json.RawMessage) error {
	for _, arg := range args {
		if err := check(arg); err != nil {
			return err
		}
	}
	return nil
}

// encodeEvent returns an envelope for an event that o sends.
func encodeEvent(o *adapter.Owner, event string, args []any) (env adapter.Envelope, err error) {
	if err := checkEvent(o, event); err != nil {
		return env, err
	}
	env = adapter.Envelope{Event: event, List: len(args) != 1}
	if env.Data, env.Binary, err = packet.EncodeArgs(args); err != nil {
		return env, fmt.Errorf("encode event %q: %w", event, err)
	}
	return env, nil
}

// encodeReply encodes the arguments of an acknowledgement.
func encodeReply(args Args) (data []byte, binary [][]byte, err error) {
	if data, binary, err = packet.EncodeArgs(args); err != nil {
		return nil, nil, fmt.Errorf("encode the answer: %w", err)
	}
	return data, binary, nil
}
