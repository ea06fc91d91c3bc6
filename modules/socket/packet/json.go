package packet

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// checkText refuses what a WebSocket text frame cannot carry on to others.
func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return malformed("it is not UTF-8")
	}
	return nil
}

// checkJSON returns data without surrounding space when it is one JSON value
// of bounded depth; the result is never empty.
func checkJSON(data []byte) (json.RawMessage, error) {
	if !json.Valid(data) {
		return nil, malformed("it is not JSON")
	}
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '[', '{':
			if depth++; depth > MaxDepth {
				return nil, malformed("it is nested too deeply")
			}
		case ']', '}':
			depth--
		}
	}
	return bytes.TrimSpace(data), nil
}

// endOfString returns the index of the quote that ends the string begun at i.
func endOfString(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i
}

// split returns the elements of an array, or the members of an object, that
// checkJSON has passed, at most limit.
func split(data []byte, limit int) ([]json.RawMessage, error) {
	inner := bytes.TrimSpace(data[1 : len(data)-1])
	if len(inner) == 0 {
		return nil, nil
	}
	var parts []json.RawMessage
	depth, start := 0, 0
	for i := 0; i <= len(inner); i++ {
		if i == len(inner) || depth == 0 && inner[i] == ',' {
			if len(parts) == limit {
				return nil, malformed("it has too many elements")
			}
			parts = append(parts, bytes.TrimSpace(inner[start:i]))
			start = i + 1
			continue
		}
		switch inner[i] {
		case '"':
			i = endOfString(inner, i)
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
	}
	return parts, nil
}

// member returns the key and the value of one of split's members.
func member(data []byte) (key string, value json.RawMessage, err error) {
	end := endOfString(data, 0) + 1
	if key, err = unquote(data[:end]); err != nil {
		return "", nil, err
	}
	_, value = cut(data[end:], ':')
	return key, bytes.TrimSpace(value), nil
}

// unquote returns the text of a JSON string.
func unquote(data []byte) (string, error) {
	if !bytes.ContainsRune(data, '\\') {
		return string(data[1 : len(data)-1]), nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return "", malformed("it is not JSON")
	}
	return s, nil
}

// appendString appends s as a JSON string. Unlike encoding/json's default it
// leaves <, > and & alone.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(dst, s)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, s string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil { // a string can always be encoded
		return append(dst, `""`...)
	}
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte{'\n'})...)
}
