package socket

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// check returns a fault for data that exceeds the limits of [rawjson.Check].
func check(data json.RawMessage) error {
	if err := rawjson.Check(data); err != nil {
		return fault.Validation(fault.Field{Field: "body", Message: err.Error()})
	}
	return nil
}

// decode decodes an event's data strictly. Its errors are faults.
func decode[Req any](data json.RawMessage) (Req, error) {
	var req Req
	if raw, ok := any(&req).(*json.RawMessage); ok {
		*raw = data
		return req, nil
	}
	if len(data) == 0 {
		data = json.RawMessage("null")
	}
	if err := unmarshal(data, &req); err != nil {
		return req, decodeFault(err)
	}
	if v, ok := any(&req).(interface{ Validate() error }); ok {
		return req, asFault(v.Validate(), "")
	}
	return req, nil
}

// unmarshal decodes data into dst, a pointer.
func unmarshal(data json.RawMessage, dst any) error {
	if own, ok := dst.(json.Unmarshaler); ok { // faster: encoding/json would scan data twice
		return own.UnmarshalJSON(data)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(dst)
}

// asFault returns err as a validation fault with the given message, or err's own. A fault
// is returned unchanged.
func asFault(err error, message string) error {
	if _, ok := errors.AsType[*fault.Error](err); ok || err == nil {
		return err
	}
	return fault.Validation(fault.Field{Message: cmp.Or(message, err.Error())}).WithCause(err)
}

// unknownField is the prefix of encoding/json's error for an unknown field, which has
// no type of its own.
const unknownField = "json: unknown field "

func decodeFault(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok { // returned by UnmarshalJSON
		return err
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.Validation(fault.Field{Field: e.Field, Message: "must be " + jsonType(e.Type)}) // without err's text, which quotes the whole value
	}
	if quoted, ok := strings.CutPrefix(err.Error(), unknownField); ok {
		if name, unquoteErr := strconv.Unquote(quoted); unquoteErr == nil {
			return fault.Validation(fault.Field{Field: name, Message: "is not a field of this event"})
		}
	}
	return asFault(err, "a value cannot be read")
}

// jsonType describes the JSON values that a Go type accepts.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, not negative"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "of another type"
	}
}
