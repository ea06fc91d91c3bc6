package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestBatch writes batches to a network that accepts random amounts. Each byte must be written
// once and in order.
func TestBatch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var b batch
		var want, got []byte
		for range 1 + random.IntN(20) {
			f := Plain.Frame(bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(60)))
			b.push(f)
			want = append(want, f.wire...)
		}
		buffer := make([]byte, 0, 100)
		writes := 0
		for b.size > 0 {
			chunk := b.chunk(buffer)
			n := random.IntN(len(chunk) + 1)
			if n > 0 {
				writes++
			}
			got = append(got, chunk[:n]...)
			b.advance(n)
		}
		if !bytes.Equal(got, want) || b.next != len(b.frames) || b.total != len(want) || b.writes != writes {
			t.Fatalf("seed %d: wrote %q of %q: %s", seed, got, want, fmt.Sprintf("%+v", b))
		}
	}
}
