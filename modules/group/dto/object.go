package dto

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// object is the JSON object of a request while its fields are being read.
type object struct {
	fields   map[string]json.RawMessage // valid JSON without insignificant space
	mistakes mistakes
}

// openObject splits data into fields. Empty data and null count as an object without
// fields.
func openObject(data []byte) *object {
	o := &object{}
	if !utf8.Valid(data) {
		// A value is sent to other clients unchanged, and a browser closes its connection
		// if a text frame is not UTF-8.
		o.mistakes.add("body", "must be valid UTF-8")
		return o
	}
	if len(data) == 0 || string(data) == "null" {
		return o
	}
	compact, err := rawjson.Compact(data) // a copy, because data belongs to the caller
	if err != nil || !isObject(compact) {
		o.mistakes.add("body", "must be an object")
		return o
	}
	members, _ := rawjson.Split(compact, len(compact))
	o.fields = make(map[string]json.RawMessage, len(members))
	for _, member := range members {
		name, value := rawjson.Member(member)
		o.fields[name] = value
	}
	return o
}

// close returns the mistakes. Each field that was not read is one.
func (o *object) close() mistakes {
	unknown := make([]string, 0, len(o.fields))
	for name := range o.fields {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		o.mistakes.add(name, "unknown field")
	}
	return o.mistakes
}

// take moves a field into dst. If the field is absent or null, dst stays unchanged. want is
// the end of the message "must be …" for a value of another type.
func (o *object) take(name string, dst any, want string) {
	raw, ok := o.raw(name)
	if !ok {
		return
	}
	if text, is := dst.(*string); is {
		if given, ok := rawjson.Text(raw); ok {
			*text = given
			return
		}
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		o.mistakes.add(name, "must be %s", want)
	}
}

// takeList is take for an array. It refuses an array with more than limit elements before
// decoding it.
func (o *object) takeList(name string, dst any, limit int, want string) {
	if raw := o.fields[name]; len(raw) > 0 && raw[0] == '[' {
		if _, all := rawjson.Split(raw, limit); !all {
			o.refuse(name, fmt.Sprintf("must have at most %d entries", limit))
			return
		}
	}
	o.take(name, dst, want)
}

// raw removes a field and returns it unchanged, including null.
func (o *object) raw(name string) (json.RawMessage, bool) {
	raw, ok := o.fields[name]
	delete(o.fields, name)
	return raw, ok
}

// refuse adds a mistake if the field is present.
func (o *object) refuse(name, message string) {
	if _, ok := o.raw(name); ok {
		o.mistakes.add(name, "%s", message)
	}
}

func (o *object) isNull(name string) bool { return rawjson.IsNull(o.fields[name]) }

// reading is the part of every request that records how it was read.
type reading struct {
	mistakes mistakes
	fromJSON bool // raw values are valid JSON without insignificant space
}

// request is a request that reads its fields from an object.
type request interface {
	read(o *object)
	done(m mistakes)
}

func (r *reading) done(m mistakes) { r.mistakes, r.fromJSON = m, true }

// fill reads data into req.
func fill(data []byte, req request) error {
	o := openObject(data)
	req.read(o)
	req.done(o.close())
	return nil
}

// begin returns a copy of the mistakes, for Validate to add to.
func (r reading) begin() mistakes { return slices.Clip(r.mistakes) }

// compact returns raw without insignificant space. Invalid JSON stays unchanged, and the
// validation that follows refuses it.
func (r reading) compact(raw json.RawMessage) json.RawMessage {
	if raw == nil || r.fromJSON {
		return raw
	}
	if c, err := rawjson.Compact(raw); err == nil {
		return c
	}
	return raw
}

// valid reports whether raw is valid JSON.
func (r reading) valid(raw json.RawMessage) bool { return r.fromJSON || json.Valid(raw) }

// Check returns the mistakes of a request that no service method validates.
func (r reading) Check() error {
	if !r.fromJSON {
		return fault.Validation(fault.Field{Field: "groupId", Message: "is required"})
	}
	return r.mistakes.err()
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}
