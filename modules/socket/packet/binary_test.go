package packet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/socket/packet"
)

func TestAttachments(t *testing.T) {
	t.Parallel()
	for wire, want := range map[string]int{
		`51-["a",{"_placeholder":true,"num":0}]`: 1,
		`510-["a"]`:                              10, `62-/n,3[]`: 2,
		`511-["a"]`: 0, `50-["a"]`: 0, `5-["a"]`: 0, `5["a"]`: 0, `5x-`: 0, `5+1-`: 0, `5`: 0, ``: 0, `21-["a"]`: 0,
	} {
		if got := packet.Attachments([]byte(wire)); got != want {
			t.Errorf("%s: %d, want %d", wire, got, want)
		}
	}
}

func TestBinaryValues(t *testing.T) {
	t.Parallel()
	one, two := []byte{1}, []byte{2, 2}
	for name, c := range map[string]struct {
		wire string
		want []any // nil: refused
	}{
		"alone":          {`52-["a",{"_placeholder":true,"num":1}]`, []any{packet.Binary(two)}},
		"beside JSON":    {`52-["a",{"b":1.50},{"num":0,"_placeholder":true}]`, []any{json.RawMessage(`{"b":1.50}`), packet.Binary(one)}},
		"inside":         {`62-7[{"a":[{"_placeholder":true,"num":0},1.50],"b":{"_placeholder":true,"num":1}}]`, []any{map[string]any{"a": []any{packet.Binary(one), json.Number("1.50")}, "b": packet.Binary(two)}}},
		"twice":          {`52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, []any{packet.Binary(one), packet.Binary(one)}},
		"not true":       {`52-["a",{"_placeholder":false,"num":9}]`, []any{map[string]any{"_placeholder": false, "num": json.Number("9")}}},
		"out of range":   {`52-["a",{"_placeholder":true,"num":2}]`, nil},
		"negative":       {`52-["a",{"_placeholder":true,"num":-1}]`, nil},
		"a fraction":     {`52-["a",{"_placeholder":true,"num":0.5}]`, nil},
		"without number": {`52-["a",{"_placeholder":true}]`, nil},
		"text":           {`52-["a",{"_placeholder":true,"num":"0"}]`, nil},
		"too deep":       {`52-["a",` + strings.Repeat("[", 200) + `{"_placeholder":true,"num":0}` + strings.Repeat("]", 200) + `]`, nil},
	} {
		p, err := packet.Decode([]byte(c.wire), one, two)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := p.Values()
		if (c.want == nil) != errors.Is(err, packet.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := packet.Decode([]byte(`52-["a"]`), one); !errors.Is(err, packet.ErrMalformed) {
		t.Errorf("an attachment is missing: %v", err)
	}
}

func TestEncodeArgs(t *testing.T) {
	t.Parallel()
	type photo struct {
		Name string        `json:"name"`
		Data packet.Binary `json:"data"`
		Text []byte        `json:"text"`
	}
	data, binary, err := packet.EncodeArgs([]any{"<&>", json.RawMessage(`{"n":1.50}`), []byte{1}, photo{"x", packet.Binary{2, 2}, []byte{3}}, packet.Binary{}, nil})
	if err != nil {
		t.Fatal(err)
	}
	want := `"<&>",{"n":1.50},{"_placeholder":true,"num":0},{"name":"x","data":{"_placeholder":true,"num":1},"text":"Aw=="},{"_placeholder":true,"num":2},null`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]byte{{1}, {2, 2}, {}}, binary); diff != "" {
		t.Errorf("binary (-want +got):\n%s", diff)
	}
	inline := `"<&>",{"n":1.50},"AQ==",{"name":"x","data":"AgI=","text":"Aw=="},"",null`
	if diff := cmp.Diff(inline, string(packet.Inline(data, binary))); diff != "" {
		t.Errorf("inline (-want +got):\n%s", diff)
	}
	if _, _, err := packet.EncodeArgs([]any{func() {}}); err == nil {
		t.Error("a function was encoded")
	}
	for name, forged := range map[string]any{
		"raw":       json.RawMessage(`{"_placeholder":true,"num":0}`),
		"escaped":   json.RawMessage(`{"\u005fplaceholder" :true,"num":0}`),
		"in struct": struct{ A json.RawMessage }{json.RawMessage(`{"_placeholder":true,"num":0,"a":1}`)},
		"in a map":  map[string]any{"_placeholder": true, "num": 0},
	} {
		if _, _, err := packet.EncodeArgs([]any{forged, []byte{1}}); !errors.Is(err, packet.ErrPlaceholder) {
			t.Errorf("%s: %v, want ErrPlaceholder", name, err)
		}
		if _, _, err := packet.EncodeArgs([]any{forged}); err != nil {
			t.Errorf("%s without binary data: %v", name, err)
		}
	}
	if _, _, err := packet.EncodeArgs([]any{json.RawMessage(`["_placeholder","\"_placeholder\":"]`), []byte{1}}); err != nil {
		t.Errorf("a text is no placeholder: %v", err)
	}
	many := make([]any, packet.MaxAttachments+1)
	for i := range many {
		many[i] = []byte{1}
	}
	if _, _, err := packet.EncodeArgs(many); err == nil {
		t.Error("too many attachments were encoded")
	}
	if data, binary, err := packet.EncodeArgs(nil); len(data)+len(binary) > 0 || err != nil {
		t.Errorf("no arguments: %s, %v", data, err)
	}
}

// TestBinaryPackets checks that binary packets are encoded like those of Node's server.
func TestBinaryPackets(t *testing.T) {
	t.Parallel()
	data, binary, err := packet.EncodeArgs([]any{[]byte("abc")})
	if err != nil {
		t.Fatal(err)
	}
	head, body, tail := packet.EventParts("/admin", "e", data, len(binary))
	if got := string(bytes.Join([][]byte{head, body, tail}, nil)); got != `51-/admin,["e",{"_placeholder":true,"num":0}]` {
		t.Errorf("event: %s", got)
	}
	head, tail = packet.AckParts("/", 7, 1)
	if got := string(head) + string(data) + string(tail); got != `61-7[{"_placeholder":true,"num":0}]` {
		t.Errorf("acknowledgement: %s", got)
	}
	if p, err := packet.Decode([]byte(`61-7[{"_placeholder":true,"num":0}]`), binary...); err != nil || p.Type != packet.Ack || p.ID != 7 {
		t.Errorf("decoded: %+v, %v", p, err)
	}
	if !packet.IsAck([]byte("61-7[]")) || !packet.IsAck([]byte("3")) || packet.IsAck([]byte("2")) || packet.IsAck(nil) {
		t.Error("acknowledgements are not recognized")
	}
}
