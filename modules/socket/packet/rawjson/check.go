package rawjson

import (
	"bytes"
	"errors"
)

// Limits of one request, far above what a request needs: see [Check].
const (
	MaxDepth  = 128    // levels of nested arrays and objects
	MaxFields = 10_000 // fields of all objects together
)

// Errors of [Check]. Clients see their text.
var (
	ErrTooDeep       = errors.New("must nest arrays and objects at most 128 levels deep")
	ErrTooManyFields = errors.New("must have at most 10000 fields, including those of nested objects")
)

// Check returns [ErrTooDeep] or [ErrTooManyFields] for data that exceeds a limit. Call it
// before data from a client is decoded. It accepts any data, stops at the first excess and
// allocates nothing.
func Check(data []byte) error {
	_, err := measure(data, MaxDepth, MaxFields)
	return err
}

// Depth returns how deep arrays and objects are nested.
func Depth(data []byte) int {
	depth, _ := measure(data, len(data), len(data))
	return depth
}

func measure(data []byte, maxDepth, maxFields int) (depth int, err error) {
	level, fields := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '[', '{':
			level++
			if depth = max(depth, level); level > maxDepth {
				return depth, ErrTooDeep
			}
		case ']', '}':
			level--
		case ':':
			if fields++; fields > maxFields {
				return depth, ErrTooManyFields
			}
		}
	}
	return depth, nil
}

// CountKey returns how many fields of all objects in data have the key, in any escaped
// form. data is one or more JSON values, separated by commas. It accepts any data.
func CountKey(data []byte, key string) (count int) {
	for i := 0; i < len(data); i++ {
		if data[i] != '"' {
			continue
		}
		end := min(endOfString(data, i)+1, len(data))
		if bytes.HasPrefix(bytes.TrimLeft(data[end:], " \t\r\n"), []byte{':'}) {
			if text, ok := Text(data[i:end]); ok && text == key {
				count++
			}
		}
		i = end - 1
	}
	return count
}

// CountValues returns an upper bound of the number of values in data, in all arrays and
// objects. It accepts any data.
func CountValues(data []byte) (count int) {
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case ',', '[', '{':
			count++
		}
	}
	return count + 1
}
