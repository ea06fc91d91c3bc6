package socket

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/fault"
)

// check reports data that exceeds a bound, as a fault. It is done before anything
// decodes data.
func check(data json.RawMessage) error {
	if err := rawjson.Check(data); err != nil {
		return fault.Validation(fault.Field{Field: "body", Message: err.Error()})
	}
	return nil
}

// decode reads an event's data strictly. Its errors are faults.
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
		if err := v.Validate(); err != nil {
			return req, validationFault(err)
		}
	}
	return req, nil
}

// unmarshal fills dst, a pointer.
func unmarshal(data json.RawMessage, dst any) error {
	if own, ok := dst.(json.Unmarshaler); ok { // encoding/json would look at data twice before it asked
		return own.UnmarshalJSON(data)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(dst)
}

// validationFault lets a fault pass; any other error of a Validate method is
// meant for the client too.
func validationFault(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Validation(fault.Field{Message: err.Error()}).WithCause(err)
}

// unknownField begins encoding/json's only word about an unknown field.
const unknownField = "json: unknown field "

func decodeFault(err error) error {
	if known, ok := errors.AsType[*fault.Error](err); ok { // of an UnmarshalJSON
		return known
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.Validation(fault.Field{Field: e.Field, Message: "must be " + jsonType(e.Type)}) // err quotes the value, however long
	}
	if quoted, ok := strings.CutPrefix(err.Error(), unknownField); ok {
		if name, unquoteErr := strconv.Unquote(quoted); unquoteErr == nil {
			return fault.Validation(fault.Field{Field: name, Message: "is not a field of this event"})
		}
	}
	return fault.Validation(fault.Field{Message: "a value cannot be read"}).WithCause(err)
}

// jsonType names what JSON must hold for a Go type.
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
