package rawjson

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Marshal encodes v as one line of JSON. It does not escape HTML, so that text stays as the
// client wrote it.
func Marshal(v any) (json.RawMessage, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Compact removes insignificant space.
func Compact(raw []byte) (json.RawMessage, error) {
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil {
		return nil, fmt.Errorf("compact JSON: %w", err)
	}
	return buf.Bytes(), nil
}

// IsNull reports whether raw is null.
func IsNull(raw []byte) bool { return string(bytes.TrimSpace(raw)) == "null" }
