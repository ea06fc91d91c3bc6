package packet_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/socket/packet"
)

func TestPartsAreWholePackets(t *testing.T) {
	t.Parallel()
	tests := []struct{ event, data, socketIO, plain string }{
		{"x", `{"a":1}`, `2["x",{"a":1}]`, `{"event":"x","data":{"a":1}}`},
		{"x", ``, `2["x"]`, `{"event":"x","data":null}`},
		{`<"모임">`, `1`, `2["<\"모임\">",1]`, `{"event":"<\"모임\">","data":1}`},
	}
	for _, test := range tests {
		head, body, tail := packet.EventParts("/", test.event, []byte(test.data), 0)
		if diff := cmp.Diff(test.socketIO, string(bytes.Join([][]byte{head, body, tail}, nil))); diff != "" {
			t.Errorf("EventParts (-want +got):\n%s", diff)
		}
		head, body, tail = packet.MessageParts(test.event, []byte(test.data))
		if diff := cmp.Diff(test.plain, string(bytes.Join([][]byte{head, body, tail}, nil))); diff != "" {
			t.Errorf("MessageParts (-want +got):\n%s", diff)
		}
	}
}

func TestMessageAppend(t *testing.T) {
	t.Parallel()
	tests := []struct {
		message packet.Message
		want    string
	}{
		{packet.Message{ID: 1, HasID: true, Data: json.RawMessage(`{}`)}, `{"id":1,"data":{}}`},
		{packet.Message{ID: 0, HasID: true}, `{"id":0,"data":null}`},
		{packet.Message{HasID: true, Error: json.RawMessage(`{"code":"x"}`)}, `{"id":0,"error":{"code":"x"}}`},
		{packet.Message{Error: json.RawMessage(`{"code":"x"}`)}, `{"error":{"code":"x"}}`},
		{packet.Message{Event: "e", Data: json.RawMessage(`1`)}, `{"event":"e","data":1}`},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, string(test.message.Append(nil))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		if !packet.Reserved(name) {
			t.Errorf("%q is not reserved", name)
		}
	}
	if packet.Reserved("group:event") {
		t.Error("an ordinary name is reserved")
	}
}

func BenchmarkDecode(b *testing.B) {
	wire := []byte(`212["group:message",{"groupId":"0198f2a6-7c1b-7d8e-9a55-2f0f4f1c9a11","data":{"text":"hello, how are you?"}}]`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := packet.Decode(wire); err != nil {
			b.Fatal(err)
		}
	}
}
