package packet

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/moim-live/moim/internal/rawjson"
)

// checkText refuses what a WebSocket text frame cannot carry on to others.
func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return malformed("it is not UTF-8")
	}
	return nil
}

// checkJSON returns data without surrounding space when it is one JSON value;
// the result is never empty.
func checkJSON(data []byte) (json.RawMessage, error) {
	if !json.Valid(data) {
		return nil, malformed("it is not JSON")
	}
	return bytes.TrimSpace(data), nil
}

// split returns the elements of an array, or the members of an object, that
// checkJSON has passed, at most limit.
func split(data []byte, limit int) ([]json.RawMessage, error) {
	parts, all := rawjson.Split(data, limit)
	if !all {
		return nil, malformed("it has too many elements")
	}
	return parts, nil
}
