package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/fault"
)

// maxObject limits the JSON that is compared, in bytes. It is the service's limit plus room
// for insignificant spaces.
const maxObject = 64 << 10

// maxNesting is the maximum depth of objects that are compared.
const maxNesting = 32

// difference returns the merge patch that turns the object from into the object in text,
// which comes from a form field. An empty text means an empty object.
func difference(field string, from json.RawMessage, text string) (json.RawMessage, error) {
	if strings.TrimSpace(text) == "" {
		return json.RawMessage("null"), nil
	}
	to, ok := object(json.RawMessage(text))
	if !ok || len(text) > maxObject {
		return nil, mistake(field, fmt.Sprintf("must be a JSON object of at most %d KiB, as {\"level\": 3}", maxObject>>10))
	}
	old, _ := object(from)
	patch, err := compare(old, to, maxNesting)
	if err != nil {
		return nil, mistake(field, err.Error())
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fault.ErrInternal.WithCause(err)
	}
	return data, nil
}

// compare returns the merge patch between two objects.
func compare(from, to map[string]json.RawMessage, depth int) (map[string]json.RawMessage, error) {
	if depth == 0 {
		return nil, fmt.Errorf("must not be nested more than %d times", maxNesting)
	}
	patch := make(map[string]json.RawMessage)
	for key := range from {
		if _, kept := to[key]; !kept {
			patch[key] = json.RawMessage("null")
		}
	}
	for key, value := range to {
		before, known := from[key]
		if known && same(before, value) {
			continue
		}
		inner, isObject := object(value)
		outer, wasObject := object(before)
		if !isObject || !wasObject {
			patch[key] = value
			continue
		}
		changes, err := compare(outer, inner, depth-1)
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(changes)
		if err != nil {
			return nil, err
		}
		patch[key] = data
	}
	return patch, nil
}

// object returns the members of a JSON object.
func object(data json.RawMessage) (members map[string]json.RawMessage, ok bool) {
	ok = json.Unmarshal(data, &members) == nil && members != nil
	return members, ok
}

// same reports whether two JSON values have the same text, apart from spaces.
func same(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// stamp formats a time for a browser's field, in UTC. It returns "" for nil.
func stamp(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format("2006-01-02T15:04:05")
}

// until parses an optional time in a form.
func until(v visit, field string) (*time.Time, error) {
	at, err := instant(field, v.sent(field))
	if err != nil || at.IsZero() {
		return nil, err
	}
	return &at, nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// joined formats a list of numbers for people.
func joined(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}
