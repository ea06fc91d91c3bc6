package rawjson

import "errors"

// Bounds of one request. They are far above what a request needs: see [Check].
const (
	MaxDepth  = 128    // levels of nested arrays and objects
	MaxFields = 10_000 // fields of all its objects together
)

// Errors of [Check], in words for the sender of the data.
var (
	ErrTooDeep       = errors.New("must nest arrays and objects at most 128 levels deep")
	ErrTooManyFields = errors.New("must have at most 10000 fields, those of nested objects included")
)

// Check reports whether data exceeds a bound, as [ErrTooDeep] or
// [ErrTooManyFields]. Call it before anything else is done with data that a
// client sent: decoders then need not fear their input. Unlike the rest of this
// package it accepts any data. It reads each byte at most once, stops at the
// first excess and allocates nothing.
func Check(data []byte) error {
	level, fields := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '[', '{':
			if level++; level > MaxDepth {
				return ErrTooDeep
			}
		case ']', '}':
			level--
		case ':':
			if fields++; fields > MaxFields {
				return ErrTooManyFields
			}
		}
	}
	return nil
}
