package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/internal/rawjson"
)

// jsonFormat encodes an answer whole before the first byte goes out, so that
// an answer is never cut off in the middle.
var jsonFormat = huma.Format{Marshal: marshal, Unmarshal: unmarshal}

func marshal(w io.Writer, v any) error {
	data, err := rawjson.Marshal(v)
	if err != nil {
		// huma would put its own text into the answer; a panic becomes a
		// problem, because nothing is written yet.
		panic(fmt.Errorf("an answer of type %T: %w", v, err))
	}
	_, _ = w.Write(append(data, '\n')) // an error means that the client is gone
	return nil
}

// huma keeps of an error only its text. These marks let fromHuma tell them
// apart.
const (
	malformed = "not valid JSON: "
	misfit    = " does not fit: "
	exceeding = "beyond a bound: "
)

// unmarshal reads a body. huma calls it before anything else sees the body.
func unmarshal(data []byte, v any) error {
	if err := rawjson.Check(data); err != nil {
		return fmt.Errorf("%s%w", exceeding, err)
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
