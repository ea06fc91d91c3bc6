// Package rawjson takes JSON apart, and puts it together, without decoding what
// is in it: encoding/json needs reflection for that, and copies.
//
// But for [Check], what it is given must be valid (see [encoding/json.Valid]).
// What it returns shares memory with that. Every function takes time linear in
// the length of its input.
package rawjson

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Depth returns how deep arrays and objects are nested.
func Depth(data []byte) int {
	level, deepest := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '[', '{':
			level++
			deepest = max(deepest, level)
		case ']', '}':
			level--
		}
	}
	return deepest
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

// fewParts is how many parts most have at most.
const fewParts = 4

// Split returns the elements of an array, or the members of an object for
// [Member]. It reports false when there are more than limit.
func Split(data []byte, limit int) (parts []json.RawMessage, all bool) {
	data = bytes.TrimSpace(data)
	inner := bytes.TrimSpace(data[1 : len(data)-1])
	if len(inner) == 0 {
		return nil, true
	}
	parts = make([]json.RawMessage, 0, fewParts)
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

// Member returns the key and the value of one of an object's members.
func Member(data []byte) (key string, value json.RawMessage) {
	end := endOfString(data, 0) + 1
	key, _ = Text(data[:end])
	_, value, _ = bytes.Cut(data[end:], []byte{':'})
	return key, bytes.TrimSpace(value)
}

// Text returns a string's text, or false for what is none.
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

// AppendString appends s as a string. Unlike encoding/json's default it leaves
// <, > and & alone.
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
	data, err := Marshal(s)
	if err != nil { // a string can always be encoded
		return append(dst, `""`...)
	}
	return append(dst, data...)
}
