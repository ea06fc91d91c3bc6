package nodebridge

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// vector is a message that a server of Node sent.
type vector struct {
	Mode, Name, Channel, Encoding, Hex string
	Decoded                            json.RawMessage // binary data as "<bin hex>"
}

// vectors returns the messages of @socket.io/redis-adapter 8.3 and redis-emitter 5.1 for each
// call of their APIs.
func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func (v vector) payload(t testing.TB) string {
	t.Helper()
	data, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// inline decodes JSON and replaces its placeholders with "<bin hex>".
func inline(t *testing.T, text []byte, attachments [][]byte) (value any) {
	t.Helper()
	for n, a := range attachments {
		text = []byte(strings.Replace(string(text), fmt.Sprintf("%s%d}", placeholderStart, n), fmt.Sprintf(`"<bin %x>"`, a), 1))
	}
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

func TestReadsWhatNodeWrites(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if v.Encoding != "msgpack" {
			continue
		}
		text, attachments, err := read(v.payload(t))
		if err != nil {
			t.Errorf("%s %s: %v", v.Mode, v.Name, err)
			continue
		}
		want := inline(t, v.Decoded, nil)
		if got := inline(t, text, attachments); !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s:\n%v, want\n%v", v.Mode, v.Name, got, want)
		}
		again, err := toMsgpack(text, attachments)
		if err != nil {
			t.Errorf("%s %s, written again: %v", v.Mode, v.Name, err)
			continue
		}
		text, attachments, err = fromMsgpack(again)
		if err != nil {
			t.Errorf("%s %s, read again: %v", v.Mode, v.Name, err)
			continue
		}
		if got := inline(t, text, attachments); !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s, written and read:\n%v, want\n%v", v.Mode, v.Name, got, want)
		}
	}
}

func TestReadsValuesAsJavaScriptDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ data, want string }{
		"date":             {"\xd7\xff\x1d\x4d\x2b\x00\x65\x53\xf1\x00", `"2023-11-14T22:13:20.122Z"`},
		"old date":         {"\xd7\x00\x00\x00\x01\x8b\xcf\xe5\x68\x7b", `"2023-11-14T22:13:20.123Z"`},
		"old undefined":    {"\xd4\x00\x00", `null`},
		"not a number":     {"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", `null`},
		"infinity":         {"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", `null`},
		"float":            {"\xca\x3f\xc0\x00\x00", `1.5`},
		"large":            {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", `18446744073709551615`},
		"text in no UTF-8": {"\xa1\xff", `"` + "\uFFFD" + `"`},
		"binary":           {"\x92\xc4\x01\x07\xc4\x00", `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`},
	} {
		text, _, err := fromMsgpack([]byte(c.data))
		if err != nil || string(text) != c.want {
			t.Errorf("%s: %s, %v, want %s", name, text, err, c.want)
		}
	}
}

func TestRefusesWhatIsNotMsgpack(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"nothing":           "",
		"reserved":          "\xc1",
		"cut off":           "\x93\xa1e",
		"too much":          "\x01\x01",
		"long array":        "\xdd\xff\xff\xff\xff\x01",
		"long text":         "\xdb\xff\xff\xff\xff\x01",
		"long binary":       "\xc6\xff\xff\xff\xff\x01",
		"long map":          "\xdf\xff\xff\xff\xff\xa1a\x01",
		"too deep":          strings.Repeat("\x91", maxDepth+1) + "\x01",
		"a key of numbers":  "\x81\x01\x01",
		"other extension":   "\xd4\x05\x01",
		"forged attachment": "\x92\xc4\x01\x07\x82\xac_placeholder\xc3\xa3num\x00",
	} {
		if text, _, err := fromMsgpack([]byte(data)); err == nil {
			t.Errorf("%s was read as %s", name, text)
		}
	}
}

func TestWritesNothingThatIsTooDeep(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	if _, err := toMsgpack([]byte(deep), nil); err == nil {
		t.Error("it was written")
	}
	if _, err := write(json.RawMessage(deep), nil, false); err == nil {
		t.Error("it was written as JSON")
	}
}

// TestWritesNoForgedAttachment checks that text that looks like an attachment, and an attachment
// that is used twice, are not written. They could end Node's process, or use unlimited memory.
func TestWritesNoForgedAttachment(t *testing.T) {
	t.Parallel()
	one := [][]byte{{1}}
	for name, text := range map[string]string{
		"another field":     `[{"_placeholder":true,"num":0,"a":1}]`,
		"twice":             `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`,
		"out of order":      `[{"_placeholder":true,"num":1}]`,
		"not there":         `[1]`,
		"escape":            `[{"_placeholder":true,"num":[0]},{"x":1}]`,
		"an end too many":   `[1]]`,
		"no end":            `[1`,
		"a key that is not": `{1:2}`,
	} {
		if data, err := toMsgpack([]byte(text), one); err == nil {
			t.Errorf("%s was written as %x", name, data)
		}
	}
}

// TestWhatWaitsIsBounded checks that the queued messages are limited in bytes while Redis hangs.
// Rooms that are created and left must use no memory afterwards, even if the server has no
// sharded channels.
func TestWhatWaitsIsBounded(t *testing.T) {
	t.Parallel()
	b := &Bridge{self: "self", rooms: make(map[room]int), changed: make(map[room]bool)}
	l := newLink(b, classic{DefaultKey})
	env := adapter.Envelope{Event: "e", Data: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}
	var err error
	sent := 0
	for ; err == nil && sent < maxQueue; sent++ {
		err = l.send(broadcastOf(socket.Selection{Namespace: "/"}, env))
	}
	if !errors.Is(err, errQueueFull) || sent > maxQueueBytes>>20 {
		t.Errorf("%d messages of 1 MiB were queued, then %v", sent, err)
	}
	for range 3 {
		b.Changed("/", "room", 1)
		b.Changed("/", "room", -1)
	}
	if len(b.rooms)+len(b.changed) > 0 {
		t.Errorf("left behind: %v, %v", b.rooms, b.changed)
	}
}

// FuzzMessages reads arbitrary messages of both protocols. A message that was read must survive
// writing and reading, and must take memory in proportion to its size.
func FuzzMessages(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Channel, v.payload(f))
	}
	for _, hostile := range []string{
		"\xc1", "\xdd\xff\xff\xff\xff", strings.Repeat("\x91", 500), `{"type":5}`, `{"type":2,"opts":{}}`, `{"type":9,"data":{}}`,
		"\x93\xa1a\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/\x80", `{"type":8,"clientCount":-1}`,
	} {
		f.Add("socket.io#/#", hostile)
		f.Add("socket.io-request#/#", hostile)
		f.Add("socket.io-response#/#", hostile)
	}
	f.Fuzz(func(t *testing.T, channel, payload string) {
		if text, attachments, err := read(payload); err == nil {
			if len(text) > 8*len(payload)+64 || size(attachments) > len(payload) {
				t.Errorf("%d bytes became %d", len(payload), len(text))
			}
			if json.Valid(text) {
				data, err := toMsgpack(text, attachments)
				if err != nil {
					t.Fatalf("%s was not written: %v", text, err)
				}
				again, same, err := fromMsgpack(data)
				if err != nil {
					t.Fatalf("the encoded form of %s cannot be read: %v", text, err)
				}
				var before, after any
				if json.Unmarshal(text, &before) != nil || json.Unmarshal(again, &after) != nil ||
					!reflect.DeepEqual(before, after) || !reflect.DeepEqual(attachments, same) {
					t.Errorf("%s became %s", text, again)
				}
			} else if !strings.HasPrefix(payload, "{") {
				t.Errorf("%x became %s, which is not JSON", payload, text)
			}
		}
		for _, d := range []dialect{classic{DefaultKey}, sharded{DefaultKey}} {
			m, err := d.decode("/", channel, payload)
			if err != nil || m.kind == unknown {
				continue
			}
			if _, _, err := d.encode(m, "self"); err != nil {
				t.Errorf("%s: %q was read, but not written: %v", d.name(), payload, err)
			}
		}
	})
}
