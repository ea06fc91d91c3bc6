package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/fault"
)

// mistakes collects what is wrong with a request, one entry a field. It stops
// one above what a failure lists, so that the failure says that there are more.
type mistakes []fault.Field

func (m *mistakes) add(field, format string, args ...any) {
	if len(*m) > fault.MaxFields || m.has(field) {
		return
	}
	*m = append(*m, fault.Field{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (m mistakes) has(field string) bool {
	return slices.ContainsFunc(m, func(f fault.Field) bool { return f.Field == field })
}

// err returns all mistakes as one fault, or nil.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return fault.Validation(m...)
}

// body is a request's JSON object while it is taken apart. It notes mistakes
// instead of failing at the first, so that HTTP and sockets report the same:
// all at once, each with its field.
type body struct {
	fields   map[string]json.RawMessage
	mistakes mistakes
}

// bodyReader is a request that takes its fields from a body.
type bodyReader interface{ read(b *body) }

// intake is what every request keeps of how it was read.
type intake struct {
	mistakes mistakes
	received bool
}

// fill reads data into req, the request that i is a part of. It returns nil:
// mistakes wait for validation.
func (i *intake) fill(data []byte, req bodyReader) error {
	b := openBody(data)
	req.read(b)
	i.keep(b.close())
	return nil
}

func (i *intake) keep(m mistakes) { i.mistakes, i.received = m, true }

func openBody(data []byte) *body {
	b := &body{}
	if !utf8.Valid(data) {
		// Raw values reach other clients as they came, and a text frame that is
		// not UTF-8 makes a browser close its connection.
		b.mistakes.add("body", "must be valid UTF-8")
		return b
	}
	if len(data) == 0 || string(data) == "null" {
		return b
	}
	if !json.Valid(data) || !isObject(data) {
		b.mistakes.add("body", "must be an object")
		return b
	}
	data = bytes.Clone(data) // which is its sender's
	members, _ := rawjson.Split(data, len(data))
	b.fields = make(map[string]json.RawMessage, len(members))
	for _, member := range members {
		key, value := rawjson.Member(member)
		b.fields[key] = value
	}
	return b
}

// close returns the mistakes, the fields that nobody took among them.
func (b *body) close() mistakes {
	unknown := make([]string, 0, len(b.fields))
	for name := range b.fields {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		b.mistakes.add(name, "unknown field")
	}
	return b.mistakes
}

// take moves a field into dst. A field that is absent or null leaves dst alone;
// want says what a wrong one must be.
func (b *body) take(name string, dst any, want string) {
	raw, ok := b.raw(name)
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
		b.mistakes.add(name, "must be %s", want)
	}
}

// takeList is take for an array. One with more than limit elements is refused
// before it is decoded.
func (b *body) takeList(name string, dst any, limit int, want string) {
	if raw := b.fields[name]; len(raw) > 0 && raw[0] == '[' {
		if _, all := rawjson.Split(raw, limit); !all {
			b.refuse(fmt.Sprintf("must have at most %d entries", limit), name)
			return
		}
	}
	b.take(name, dst, want)
}

// raw removes and returns a field as it came, null included.
func (b *body) raw(name string) (json.RawMessage, bool) {
	raw, ok := b.fields[name]
	delete(b.fields, name)
	return raw, ok
}

// refuse notes those of the fields that there are.
func (b *body) refuse(message string, names ...string) {
	for _, name := range names {
		if _, ok := b.raw(name); ok {
			b.mistakes.add(name, "%s", message)
		}
	}
}

// Checks of single values. Lengths in characters are Unicode code points.

func (m *mistakes) text(field, value string, low, high int, allowed string) {
	n := utf8.RuneCountInString(value)
	switch {
	case !utf8.ValidString(value):
		m.add(field, "must be valid UTF-8")
	case n < low && low == 1:
		m.add(field, "is required")
	case n < low || n > high:
		m.add(field, "must have %d to %d characters", low, high)
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune(allowed, r) }):
		m.add(field, "must not contain control characters")
	}
}

func (m *mistakes) userID(field, id string) {
	if !ValidUserID(id) {
		m.add(field, "must be a user id of 1 to %d bytes without control characters", maxUserID)
	}
}

// ValidUserID reports whether id can be a user's.
func ValidUserID(id string) bool { return validID(id, maxUserID) }

// validID reports whether id, which clients made up, can be one.
func validID(id string, limit int) bool {
	return id != "" && len(id) <= limit && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}

func (m *mistakes) object(field string, raw json.RawMessage, limit int) {
	switch {
	case !isObject(raw) || !json.Valid(raw):
		m.add(field, "must be an object")
	case len(raw) > limit:
		m.add(field, tooLarge, limit)
	case rawjson.Depth(raw) > maxDepth:
		m.add(field, tooDeep, maxDepth)
	}
}

const (
	tooLarge = "must be at most %d bytes of JSON"
	tooDeep  = "must be at most %d levels deep"
)

func oneOf[T ~string](m *mistakes, field string, value T, choices ...T) {
	if slices.Contains(choices, value) {
		return
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = string(c)
	}
	m.add(field, "must be one of: %s", strings.Join(names, ", "))
}

func (m *mistakes) capacity(capacity *int, limit int) {
	if capacity != nil && (*capacity < 1 || *capacity > limit) {
		m.add("capacity", "must be between 1 and %d", limit)
	}
}

// objectPatch checks a merge patch of an object of at most limit bytes; null
// empties it. The patch may be larger than that, since it also names what it
// removes. The object's own size is checked once the patch is applied.
func (m *mistakes) objectPatch(field string, raw json.RawMessage, limit int) {
	raw = tidy(raw)
	switch {
	case raw == nil || rawjson.IsNull(raw):
	case !isObject(raw) || !json.Valid(raw):
		m.add(field, "must be an object or null")
	case len(raw) > maxPatch*limit:
		m.add(field, tooLarge, maxPatch*limit)
	case rawjson.Depth(raw) > maxDepth:
		m.add(field, tooDeep, maxDepth)
	}
}

func (m *mistakes) data(field string, raw json.RawMessage, required bool) {
	switch {
	case raw == nil && required:
		m.add(field, "is required")
	case len(raw) > maxData:
		m.add(field, tooLarge, maxData)
	case raw != nil && !json.Valid(raw):
		m.add(field, "must be JSON")
	case rawjson.Depth(raw) > maxDepth:
		m.add(field, tooDeep, maxDepth)
	}
}

func (m *mistakes) userIDs(field string, ids []string, low, high int) {
	if len(ids) < low || len(ids) > high {
		m.add(field, "must have %d to %d entries", low, high)
		return
	}
	for i, id := range ids {
		m.userID(fmt.Sprintf("%s[%d]", field, i), id)
	}
}

// tidy returns raw without insignificant space; what is no JSON stays as it
// is, for validation to find.
func tidy(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	if c, err := rawjson.Compact(raw); err == nil {
		return c
	}
	return raw
}

// normal is tidy for attributes, which are an empty object unless given.
func normal(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || rawjson.IsNull(raw) {
		return json.RawMessage("{}")
	}
	return tidy(raw)
}
