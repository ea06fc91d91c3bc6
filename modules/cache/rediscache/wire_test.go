package rediscache

import (
	"bytes"
	"testing"

	"github.com/moim-live/moim/modules/cache"
)

func TestEntryRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []cache.Entry{
		{},
		{Revision: 1, Data: []byte(`{"id":"a"}`)},
		{Revision: 1<<63 - 1, Data: []byte(" 1 2 \x00\xff\r\n")},
	} {
		got, err := decode(encode(want))
		if err != nil || got.Revision != want.Revision || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%+v came back as %+v, %v", want, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"1 5 data", "1 5 ", "1 0 {}", "1 5", "1 ", "1", "", " ", "2 5 data", "1 -5 data", "1 +5 data", "1 05 data", "1 1e3 data",
		"1  5 data", "1 9223372036854775808 data", "11 5 data", "\x00", "1 5\ndata", "{}", "1 5 1 6 data",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		e, err := decode(value)
		if err != nil {
			return
		}
		again, err := decode(encode(e))
		if err != nil || again.Revision != e.Revision || !bytes.Equal(again.Data, e.Data) {
			t.Errorf("%q is %+v, and then %+v, %v", value, e, again, err)
		}
		if e.Revision < 0 {
			t.Errorf("%q has revision %d", value, e.Revision)
		}
	})
}

func FuzzDecodeInvalidation(f *testing.F) {
	for _, seed := range []string{"n1 5 group:a", "n1 5 ", "n1 5 a key", " 5 a", "n1 x a", "n1 5", "n1", "", "n1 -5 a", "n1  5 a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		node, key, revision, err := decodeInvalidation(payload)
		if err != nil {
			return
		}
		node2, key2, revision2, err := decodeInvalidation(encodeInvalidation(node, key, revision))
		if err != nil || node2 != node || key2 != key || revision2 != revision {
			t.Errorf("%q is %q %q %d, and then %q %q %d, %v", payload, node, key, revision, node2, key2, revision2, err)
		}
	})
}
