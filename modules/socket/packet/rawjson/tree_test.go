package rawjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// FuzzParse compares a tree with encoding/json, from the original text and rebuilt.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b":{"c":[1,{"d":"},]\""}]} , "a":"twice" } `, `[1,[2,"]"]] `, `"text"`, `null`, `{"\u0061":-1.50e3}`, `{"a":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || rawjson.Depth(data) > rawjson.MaxDepth {
			return
		}
		n := rawjson.Parse(data)
		if got, want := string(n.Append(nil)), string(bytes.TrimSpace(data)); got != want {
			t.Errorf("read %q, want %q", got, want)
		}
		again := apart(n).Append([]byte("x"))[1:]
		if want, got := decode(t, data), decode(t, again); !reflect.DeepEqual(got, want) {
			t.Errorf("put together: %q, of %q", again, data)
		}
	})
}

// apart returns n without the raw text of its objects.
func apart(n rawjson.Node) rawjson.Node {
	if n.Members == nil {
		return n
	}
	members := make(map[string]rawjson.Node)
	for key, member := range n.Members {
		members[key] = apart(member)
	}
	return rawjson.Node{Members: members}
}

func decode(t *testing.T, data []byte) (v any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNodeAppendOrdersKeys(t *testing.T) {
	t.Parallel()
	n := rawjson.Node{Members: map[string]rawjson.Node{
		"b": {Raw: []byte("1")}, "<a>": {Members: map[string]rawjson.Node{}}, "c": rawjson.Parse([]byte(`{"z": 1,"y":2}`)),
	}}
	if got := string(n.Append(nil)); got != `{"<a>":{},"b":1,"c":{"z": 1,"y":2}}` {
		t.Error(got)
	}
}
