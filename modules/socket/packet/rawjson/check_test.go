package rawjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// nested returns nested arrays.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// wide returns an object with this many fields and one inner object.
func wide(fields int) string {
	var out strings.Builder
	out.WriteString(`{"inner":{"a":1}`)
	for i := range fields - 2 {
		out.WriteString(`,"f` + strconv.Itoa(i) + `":"x:{[,\":"`)
	}
	return out.String() + "}"
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		want error
	}{
		"nothing":             {"", nil},
		"as deep as allowed":  {nested(rawjson.MaxDepth), nil},
		"too deep":            {nested(rawjson.MaxDepth + 1), rawjson.ErrTooDeep},
		"wide, not deep":      {"[" + strings.Repeat("[],", 1000) + "{}]", nil},
		"deep in a string":    {`"\"` + nested(1000) + `"`, nil},
		"as wide as allowed":  {wide(rawjson.MaxFields), nil},
		"too wide":            {wide(rawjson.MaxFields + 1), rawjson.ErrTooManyFields},
		"a field many times":  {"{" + strings.Repeat(`"":0,`, rawjson.MaxFields) + `"":0}`, rawjson.ErrTooManyFields},
		"colons in a string":  {`"` + strings.Repeat(":", 2*rawjson.MaxFields) + `"`, nil},
		"a string not ended":  {`{"a":"\`, nil},
		"only closing":        {strings.Repeat("]", 1000), nil},
		"many array elements": {"[" + strings.Repeat("0,", 100_000) + "0]", nil},
	} {
		if err := rawjson.Check([]byte(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestCheckSaysTheBounds(t *testing.T) {
	t.Parallel()
	if !strings.Contains(rawjson.ErrTooDeep.Error(), strconv.Itoa(rawjson.MaxDepth)) {
		t.Error(rawjson.ErrTooDeep)
	}
	if !strings.Contains(rawjson.ErrTooManyFields.Error(), strconv.Itoa(rawjson.MaxFields)) {
		t.Error(rawjson.ErrTooManyFields)
	}
}

func TestCheckAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	for _, text := range []string{nested(1_000_000), wide(100_000), wide(100)} {
		data := []byte(text)
		if n := testing.AllocsPerRun(10, func() { _ = rawjson.Check(data) }); n > 0 {
			t.Errorf("%d bytes: %v allocations", len(data), n)
		}
	}
}

// TestCountKey checks counts of one field name.
func TestCountKey(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]int{
		`{"key":1}`:                              1,
		`{"key" : 1},{"\u006bey":2},{"a":"key"}`: 2,
		`"key","\"key\":",["key"]`:               0,
		`{"a":{"key":{"key":[{"key":1}]}}},"x"`:  3,
		`"key`:                                   0,
		`"key":`:                                 1,
	} {
		if got := rawjson.CountKey([]byte(data), "key"); got != want {
			t.Errorf("%s has %d, want %d", data, got, want)
		}
	}
}

// FuzzCheck compares the counts with encoding/json.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"b":[1,{"c":":"}]},"a":null}`, nested(rawjson.MaxDepth), nested(rawjson.MaxDepth + 1),
		wide(rawjson.MaxFields), wide(rawjson.MaxFields + 1), `"\`, `{"a`, `]]]:::"`, "\xff{",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := rawjson.Check(data)
		keys, values := rawjson.CountKey(data, "a"), rawjson.CountValues(data)
		if !json.Valid(data) {
			return
		}
		if fields := countFields(t, data); keys > fields || values < fields {
			t.Errorf("%d keys and %d values of %d fields", keys, values, fields)
		}
		levels, fields := depth(t, data), countFields(t, data)
		want := levels > rawjson.MaxDepth || fields > rawjson.MaxFields
		if (err != nil) != want || errors.Is(err, rawjson.ErrTooDeep) && levels <= rawjson.MaxDepth {
			t.Errorf("%d levels, %d fields: %v", levels, fields, err)
		}
	})
}

// countFields counts the fields that encoding/json finds.
func countFields(t *testing.T, data []byte) (fields int) {
	t.Helper()
	tokens := json.NewDecoder(bytes.NewReader(data))
	tokens.UseNumber()
	var inObject []bool
	for key := false; ; {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			return fields
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			inObject, key = append(inObject, token == json.Delim('{')), true
			continue
		case json.Delim('}'), json.Delim(']'):
			inObject = inObject[:len(inObject)-1]
		default:
			if key && len(inObject) > 0 && inObject[len(inObject)-1] {
				fields++
				key = false
				continue
			}
		}
		key = true // the next token after a value in an object is a key
	}
}
