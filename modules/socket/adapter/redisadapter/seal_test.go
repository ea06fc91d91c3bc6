package redisadapter

import (
	"errors"
	"strings"
	"testing"
)

// TestSigning checks which messages a node accepts from which sender.
func TestSigning(t *testing.T) {
	t.Parallel()
	key, other := Key(strings.Repeat("k", 32)), Key(strings.Repeat("o", 32))
	sealed := func(k Key) string {
		wire := append(make([]byte, k.room()), "\x01envelope"...)
		k.seal("channel", wire)
		return string(wire)
	}
	for name, test := range map[string]struct {
		signing Signing
		taken   map[string]bool
	}{
		"a key":          {Signing{Key: key}, map[string]bool{sealed(key): true, sealed(other): false, sealed(nil): false, "": false}},
		"in an upgrade":  {Signing{Key: key, Optional: true}, map[string]bool{sealed(key): true, sealed(other): false, sealed(nil): true}},
		"without a key":  {Signing{}, map[string]bool{sealed(key): true, sealed(other): true, sealed(nil): true}},
		"cut signatures": {Signing{Key: key, Optional: true}, map[string]bool{sealed(key)[:sealSize]: false}},
	} {
		for wire, want := range test.taken {
			envelope, err := test.signing.open("channel", wire)
			if taken := err == nil && envelope == "\x01envelope"; taken != want || !want && !errors.Is(err, errForged) {
				t.Errorf("%s: %q is opened as %q, %v; taken: want %v", name, wire, envelope, err, want)
			}
		}
	}
	if _, err := (Signing{Key: key}).open("another", sealed(key)); !errors.Is(err, errForged) {
		t.Errorf("an envelope of another channel: %v", err)
	}
}
