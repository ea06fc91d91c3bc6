package redisadapter

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moim-live/moim/modules/socket/adapter"
)

var samples = []adapter.Envelope{
	{},
	{Room: "r", Event: "group:event", Data: []byte(`{"version":1}`)},
	{Room: "r", Event: "e", Data: []byte("x"), Except: "socket", To: []string{"a", "", "모임"}, Meta: "7"},
	{Room: "r", Event: strings.Repeat("e", 200), Meta: strings.Repeat("m", 20_000)},
	{Room: "r", Event: "e", Data: []byte(`1,2`), List: true},
	{Room: "r", Event: "e", Data: []byte("x"), Offset: "node1"},
	{Room: "r", Event: "e", List: true, Binary: [][]byte{{1}}, Data: []byte("x"), Offset: "node2"},
	{Room: "r", Event: "e", Meta: "7", Data: []byte("x"), Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	{Room: "r", Event: "e", List: true, Binary: [][]byte{{1}}, Data: []byte("x"), Offset: "node2", Trace: "t"},
	{Room: "r", Event: "e", Lossy: true, To: []string{"bob"}, Data: []byte("x")},
	{Room: "r", Event: "e", Volatile: true, Binary: [][]byte{{1}, nil, {2, 2}}, Data: []byte("x")},
}

func TestWire(t *testing.T) {
	t.Parallel()
	for _, want := range samples {
		wire, err := encode(0, 0x0102030405060708, want)
		if err != nil {
			t.Fatal(err)
		}
		setNumber(wire, 42)
		h, err := decodeHeader(string(wire))
		if err != nil || h != (header{0x0102030405060708, 42}) {
			t.Fatal(h, err)
		}
		got, err := decode(want.Room, string(wire))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		for cut := range len(wire) - len(want.Data) {
			_, headErr := decodeHeader(string(wire[:cut]))
			if _, err := decode(want.Room, string(wire[:cut])); err == nil && headErr == nil {
				t.Fatalf("an envelope cut at %d of %d was read", cut, len(wire))
			}
		}
	}
}

// TestTraceForOlderNodes checks that a node that does not know the trace flag can read everything
// else.
func TestTraceForOlderNodes(t *testing.T) {
	t.Parallel()
	env := adapter.Envelope{Room: "group:g", Event: "group:event", Meta: "7 message.posted", Data: []byte(`{"version":7}`), Trace: "t"}
	plain := env
	plain.Trace = ""
	without, err := encode(0, 1, plain)
	if err != nil || without[0] != wireVersion {
		t.Fatalf("without a trace: version %d, %v", without[0], err)
	}
	wire, err := encode(0, 1, env)
	if err != nil {
		t.Fatal(err)
	}
	flags := bytes.LastIndexByte(wire, flagTrace)
	wire[flags] = 0
	got, err := decode(env.Room, string(wire))
	plain.Binary = [][]byte{[]byte("t")}
	if diff := cmp.Diff(plain, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestWireStaysTheSame checks the bytes of envelopes, because nodes of different versions
// exchange them.
func TestWireStaysTheSame(t *testing.T) {
	t.Parallel()
	wire, err := encode(0, 0xA1A2A3A4A5A6A7A8, adapter.Envelope{
		Room: "not on the wire", Event: "ev", Except: "sock", Meta: "m", To: []string{"u1", "u22"}, Data: []byte(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	setNumber(wire, 258)
	want := []byte("\x01" + "\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8" + "\x00\x00\x00\x00\x00\x00\x01\x02" +
		"\x02ev" + "\x04sock" + "\x01m" + "\x02" + "\x02u1" + "\x03u22" + "{}")
	if !bytes.Equal(wire, want) {
		t.Fatalf("got %q, want %q", wire, want)
	}
	wire, err = encode(0, 0xA1A2A3A4A5A6A7A8, adapter.Envelope{Event: "ev", List: true, Volatile: true, Binary: [][]byte{{7}}, Data: []byte(`1,2`)})
	if err != nil {
		t.Fatal(err)
	}
	setNumber(wire, 258)
	want = []byte("\x03" + "\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8" + "\x00\x00\x00\x00\x00\x00\x01\x02" +
		"\x02ev" + "\x00" + "\x00" + "\x00" + "\x03" + "\x01" + "\x01\x07" + "1,2")
	if !bytes.Equal(wire, want) {
		t.Fatalf("version 3: got %q, want %q", wire, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, env := range samples {
		wire, err := encode(0, 1, env)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(wire))
	}
	head := string([]byte{wireVersion}) + strings.Repeat("\x00", headerSize-1)
	f.Add("")
	f.Add(head + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Add(head + "\x00\x00\x00\xff\xff\xff\xff\x0f")
	f.Fuzz(func(t *testing.T, wire string) {
		h, err := decodeHeader(wire)
		if err != nil {
			return
		}
		env, err := decode("r", wire)
		if err != nil {
			return
		}
		again, err := encode(0, h.sender, env)
		if err != nil {
			t.Fatal(err)
		}
		setNumber(again, h.number)
		back, err := decode("r", string(again))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(env, back); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestOwnMessagesAreDroppedUnread checks that a node drops its own messages without decoding
// them, signed or not, with or without a key. It must not drop the messages of other nodes.
func TestOwnMessagesAreDroppedUnread(t *testing.T) {
	t.Parallel()
	const self = 0x0102030405060708
	a := &Adapter{node: &node{sender: self}}
	envelope := func(sender uint64) string {
		wire, err := encode(0, sender, adapter.Envelope{Room: "r", Event: "e"})
		if err != nil {
			t.Fatal(err)
		}
		return string(wire)
	}
	seal := string([]byte{signedVersion}) + strings.Repeat("t", tagSize)
	for message, own := range map[string]bool{
		envelope(self):                       true,
		seal + envelope(self):                true,
		envelope(self + 1):                   false,
		seal + envelope(self+1):              false,
		envelope(self)[:headerSize-1]:        false,
		seal + envelope(self)[:headerSize-1]: false,
		seal:                                 false,
		"":                                   false,
	} {
		if got := a.isOwn(message); got != own {
			t.Errorf("%q is the node's own message: %t, want %t", message, got, own)
		}
	}
}
