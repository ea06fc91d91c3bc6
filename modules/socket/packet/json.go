package packet

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// checkText refuses text that cannot be forwarded in a WebSocket text frame.
func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return malformed("it is not UTF-8")
	}
	return nil
}

// checkJSON returns data, which must be one JSON value, without surrounding space.
func checkJSON(data []byte) (json.RawMessage, error) {
	if !json.Valid(data) {
		return nil, malformed("it is not JSON")
	}
	return bytes.TrimSpace(data), nil
}

// split returns the elements of an array or the members of an object, which must be valid
// JSON. More than limit elements are an error.
func split(data []byte, limit int) ([]json.RawMessage, error) {
	parts, all := rawjson.Split(data, limit)
	if !all {
		return nil, malformed("it has too many elements")
	}
	return parts, nil
}
