package packet_test

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moim-live/moim/modules/socket/packet"
)

func FuzzDecode(f *testing.F) {
	for _, folder := range []string{"socketio", "lax", "refused"} {
		for _, wire := range wires(f, folder) {
			f.Add(wire)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		binary := make([][]byte, packet.Attachments(data))
		p, err := packet.Decode(data, binary...)
		if err != nil {
			if !errors.Is(err, packet.ErrMalformed) {
				t.Fatalf("foreign error: %v", err)
			}
			return
		}
		if _, err := p.Values(); err != nil && !errors.Is(err, packet.ErrMalformed) {
			t.Fatalf("foreign error: %v", err)
		}
		checkValues(t, append(p.Args, p.Data)...)
		wire := p.Append(nil)
		if !utf8.Valid(wire) {
			t.Fatalf("not UTF-8: %q", wire)
		}
		again, err := packet.Decode(wire, binary...)
		if err != nil {
			t.Fatalf("%q became %q: %v", data, wire, err)
		}
		if diff := cmp.Diff(p, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q became %q (-first +again):\n%s", data, wire, diff)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	for _, wire := range wires(f, "plain") {
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := packet.DecodeMessage(data)
		if err != nil {
			if !errors.Is(err, packet.ErrMalformed) {
				t.Fatalf("foreign error: %v", err)
			}
			return
		}
		checkValues(t, m.Data)
		if len(m.Data) == 0 {
			m.Data = json.RawMessage("null") // no data is encoded as null
		}
		wire := m.Append(nil)
		again, err := packet.DecodeMessage(wire)
		if err != nil {
			t.Fatalf("%q became %q: %v", data, wire, err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatalf("%q became %q (-first +again):\n%s", data, wire, diff)
		}
	})
}

// checkValues checks that each value is complete JSON.
func checkValues(t *testing.T, values ...json.RawMessage) {
	t.Helper()
	for _, value := range values {
		if len(value) > 0 && !json.Valid(value) {
			t.Fatalf("not JSON: %q", value)
		}
	}
}
