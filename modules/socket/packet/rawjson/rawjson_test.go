package rawjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// FuzzRawJSON compares split values with encoding/json.
func FuzzRawJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b":{"c":[1,{"d":"},]\""}]} , "a":"twice" } `, `[]`, `[ ]`, `[1,[2,[3]],"x,y","\\"]`, `"text"`,
		`"\u00e9\ud83d\ude00\ud800"`, `null`, `true`, `-1.5e3`, `{"\u0061\"":"{"}`, "\"\x80\"", `"<&>"`, `{"":0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		if got, want := rawjson.Depth(data), depth(t, data); got != want {
			t.Errorf("depth %d, want %d", got, want)
		}
		var object map[string]json.RawMessage
		var array []json.RawMessage
		var text string
		switch {
		case json.Unmarshal(data, &array) == nil && array != nil:
			parts, all := rawjson.Split(data, len(array))
			if !all || len(parts) != len(array) {
				t.Fatalf("%q has the elements %q", data, parts)
			}
			for i := range parts {
				if string(parts[i]) != string(array[i]) {
					t.Errorf("element %d is %q, want %q", i, parts[i], array[i])
				}
			}
			if _, all := rawjson.Split(data, len(array)-1); all && len(array) > 0 {
				t.Error("a limit that is too low was kept")
			}
		case json.Unmarshal(data, &object) == nil && object != nil:
			parts, all := rawjson.Split(data, len(data))
			if !all {
				t.Fatalf("%q has too many members", data)
			}
			got := make(map[string]json.RawMessage)
			for _, part := range parts {
				key, value := rawjson.Member(part)
				got[key] = value
			}
			if len(got) != len(object) {
				t.Errorf("members %q, want %q", got, object)
			}
			for key, value := range object {
				if string(got[key]) != string(value) {
					t.Errorf("%q is %q, want %q", key, got[key], value)
				}
			}
		}
		isText := bytes.TrimSpace(data)[0] == '"'
		if err := json.Unmarshal(data, &text); err == nil && isText {
			got, ok := rawjson.Text(data)
			var again string
			if err := json.Unmarshal(rawjson.AppendString(nil, got), &again); err != nil || again != text || !ok || got != text {
				t.Errorf("text %q, then %q, want %q", got, again, text)
			}
		} else if _, ok := rawjson.Text(data); ok && !isText {
			t.Errorf("%q is a string", data)
		}
	})
}

// depth returns the nesting that encoding/json finds.
func depth(t *testing.T, data []byte) (deepest int) {
	t.Helper()
	tokens := json.NewDecoder(bytes.NewReader(data))
	tokens.UseNumber()
	for level := 0; ; {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			return deepest
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			level++
			deepest = max(deepest, level)
		case json.Delim('}'), json.Delim(']'):
			level--
		}
	}
}

func TestAppendStringLeavesMarkupAlone(t *testing.T) {
	t.Parallel()
	if got := string(rawjson.AppendString([]byte("x"), "<&>\n\u2028")); got != `x"<&>\n\u2028"` {
		t.Errorf("got %s", got)
	}
}
