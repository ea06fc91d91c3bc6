package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// jsonFormat encodes a whole response before it sends the first byte, so that an error does
// not cut off a response.
var jsonFormat = huma.Format{Marshal: marshal, Unmarshal: unmarshal}

func marshal(w io.Writer, v any) error {
	data, err := rawjson.Marshal(v)
	if err != nil {
		// huma would add its own text to the response. A panic becomes a problem, because
		// nothing has been sent yet.
		panic(fmt.Errorf("encode a response of type %T: %w", v, err))
	}
	_, _ = w.Write(append(data, '\n')) // fails if the client has disconnected
	return nil
}

// huma keeps only the text of an error. fromHuma recognises errors by these parts of the
// text.
const (
	malformed   = "not valid JSON: "
	misfit      = " does not fit: "
	beyondBound = "beyond a bound: "
)

// unmarshal decodes a body.
func unmarshal(data []byte, v any) error {
	if err := rawjson.Check(data); err != nil {
		return fmt.Errorf("%s%w", beyondBound, err)
	}
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if typed, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s%sa %s", typed.Field, misfit, typed.Value) // without Go's type names
	}
	return fmt.Errorf("%s%w", malformed, err)
}
