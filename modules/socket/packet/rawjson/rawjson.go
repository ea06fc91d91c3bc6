// Package rawjson splits and builds JSON without decoding its values. encoding/json would
// decode them with reflection and copies.
//
// Its input must be valid JSON (see [encoding/json.Valid]), except that of [Check]. Its results
// share memory with the input. Each function takes time linear in the length of its input.
package rawjson

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// endOfString returns the index of the quote that ends the string at i.
func endOfString(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i
}

// Split returns the elements of an array, or the members of an object for [Member]. It returns
// false if there are more than limit.
func Split(data []byte, limit int) (parts []json.RawMessage, all bool) {
	data = bytes.TrimSpace(data)
	inner := bytes.TrimSpace(data[1 : len(data)-1])
	if len(inner) == 0 {
		return nil, true
	}
	parts = make([]json.RawMessage, 0, 4)
	level, start := 0, 0
	for i := 0; i <= len(inner); i++ {
		if i == len(inner) || level == 0 && inner[i] == ',' {
			if len(parts) == limit {
				return nil, false
			}
			parts = append(parts, bytes.TrimSpace(inner[start:i]))
			start = i + 1
			continue
		}
		switch inner[i] {
		case '"':
			i = endOfString(inner, i)
		case '[', '{':
			level++
		case ']', '}':
			level--
		}
	}
	return parts, true
}

// Member returns the key and the value of an object's member.
func Member(data []byte) (key string, value json.RawMessage) {
	end := endOfString(data, 0) + 1
	key, _ = Text(data[:end])
	_, value, _ = bytes.Cut(data[end:], []byte{':'})
	return key, bytes.TrimSpace(value)
}

// Text decodes a string. It returns false for other values.
func Text(data []byte) (text string, ok bool) {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0 || data[0] != '"':
		return "", false
	case bytes.IndexByte(data, '\\') < 0 && utf8.Valid(data):
		return string(data[1 : len(data)-1]), true
	default:
		return text, json.Unmarshal(data, &text) == nil
	}
}

// AppendString appends s as a JSON string. Unlike encoding/json, it does not escape <, > and &.
func AppendString(dst []byte, s string) []byte {
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
	data, _ := Marshal(s) // never fails for a string
	return append(dst, data...)
}
