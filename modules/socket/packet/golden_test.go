package packet_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/socket/packet"
)

var update = flag.Bool("update", false, "write the golden files")

// wires reads the .wire files of a folder of testdata by name. Node's socket.io-parser wrote
// those in socketio.
func wires(tb testing.TB, folder string) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.wire"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no golden files in %s: %v", folder, err)
	}
	found := make(map[string][]byte, len(files))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		found[strings.TrimSuffix(filepath.Base(file), ".wire")] = data
	}
	return found
}

// golden compares v, as JSON, with a .golden file.
func golden(t *testing.T, folder, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", folder, name+".golden")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestDecodeAndAppendGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	for name, wire := range wires(t, "socketio") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := packet.Decode(wire)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "socketio", name, p)
			if diff := cmp.Diff(string(wire), string(p.Append(nil))); diff != "" {
				t.Errorf("encoded again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeToleratesWhatClientsMayWrite(t *testing.T) {
	t.Parallel()
	for name, wire := range wires(t, "lax") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := packet.Decode(wire)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "lax", name, p)
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, wire := range wires(t, "refused") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := packet.Decode(wire)
			if err == nil {
				t.Fatalf("decoded: %+v", p)
			}
			if !errors.Is(err, packet.ErrMalformed) {
				t.Errorf("wrong kind of error: %v", err)
			}
			golden(t, "refused", name, err.Error())
		})
	}
}

func TestDecodeMessage(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Message packet.Message
		Error   string `json:",omitempty"`
	}
	for name, wire := range wires(t, "plain") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := packet.DecodeMessage(wire)
			got := outcome{Message: m}
			if refused := strings.HasPrefix(name, "refused"); refused != (err != nil) || refused != errors.Is(err, packet.ErrMalformed) {
				t.Fatalf("error is %v", err)
			}
			if err != nil {
				got.Error = err.Error()
			}
			golden(t, "plain", name, got)
		})
	}
}
