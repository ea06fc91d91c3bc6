package engine

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzPayload sends arbitrary bodies of POST requests. The messages must arrive in order, up to
// the first invalid packet.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{
		"4hello", "4a\x1e4b\x1ebAQI=\x1e3", "b\x1e4", "bA\x1e4x", "b====", "\x1e\x1e", "", "1\x1e4late", "6", "2probe", "5", "4" + strings.Repeat("\x1e4", 100),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := new(texts)
		c := &Conn{engine: newEngine(Config{}, nil), protocol: EngineIO, phase: open, polling: &polling{}, receiver: r}
		c.handlePayload(t.Context(), bytes.Clone(payload))
		var want []string
	packets:
		for packet := range bytes.SplitSeq(payload, []byte{separator}) {
			kind, data := byte('?'), packet
			if len(packet) > 0 {
				kind, data = packet[0], packet[1:]
			}
			switch {
			case kind != 'b' && !utf8.Valid(packet):
				break packets
			case kind == '4':
				want = append(want, string(data))
			case kind == 'b':
				decoded, err := base64.StdEncoding.DecodeString(string(data))
				if err != nil {
					break packets
				}
				want = append(want, string(decoded))
			case strings.IndexByte("3056", kind) >= 0: // they carry no message
			default:
				break packets
			}
		}
		if !slices.Equal(r.all, want) {
			t.Errorf("%q: got %q, want %q", payload, r.all, want)
		}
	})
}
