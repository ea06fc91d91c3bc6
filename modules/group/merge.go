package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// mergePatch applies a JSON merge patch (RFC 7396) to target. Numbers keep
// their digits. Both must be valid JSON; an empty target counts as absent.
func mergePatch(target, patch json.RawMessage) (json.RawMessage, error) {
	if !isObject(patch) {
		return compact(patch)
	}
	var changes map[string]json.RawMessage
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, fmt.Errorf("read a merge patch: %w", err)
	}
	result := make(map[string]json.RawMessage, len(changes))
	if isObject(target) {
		if err := json.Unmarshal(target, &result); err != nil {
			return nil, fmt.Errorf("read a merge patch's target: %w", err)
		}
	}
	for name, change := range changes {
		if isNull(change) {
			delete(result, name)
			continue
		}
		merged, err := mergePatch(result[name], change)
		if err != nil {
			return nil, err
		}
		result[name] = merged
	}
	return marshal(result)
}

// marshal encodes v as one line of JSON without escaping HTML: what is stored
// and sent is what the client wrote.
func marshal(v any) (json.RawMessage, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// compact returns raw without insignificant space.
func compact(raw json.RawMessage) (json.RawMessage, error) {
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil {
		return nil, fmt.Errorf("compact JSON: %w", err)
	}
	return buf.Bytes(), nil
}

// sameJSON reports whether a and b are the same value, whatever the order of
// their names. Numbers are compared as they are written.
func sameJSON(a, b json.RawMessage) bool {
	x, errX := decodeAny(a)
	y, errY := decodeAny(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func decodeAny(raw json.RawMessage) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }
