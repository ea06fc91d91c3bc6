package packet_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/socket/packet"
)

// shapes are the most expensive packets and messages for the decoders, in growing sizes.
var shapes = map[string]func(times int) string{
	"packet/text": func(times int) string { return `2["e","` + strings.Repeat(`\u00e9`, 150*times) + `"]` },
	"packet/name": func(times int) string { return `2["` + strings.Repeat(`\u00e9`, 150*times) + `"]` },
	"packet/deep": func(times int) string {
		return `2["e",` + strings.Repeat("[", 90*times) + strings.Repeat("]", 90*times) + `]`
	},
	"packet/arguments": func(times int) string { return `2["e"` + strings.Repeat(`,0`, 500*times) + `]` },
	"packet/namespace": func(times int) string { return `2/` + strings.Repeat("n", 1000*times) + `,["e"]` },
	"packet/id":        func(times int) string { return `2` + strings.Repeat("0", 1000*times) + `["e"]` },
	"packet/space":     func(times int) string { return `2[` + strings.Repeat(" ", 1000*times) + `"e"]` },
	"message/text":     func(times int) string { return `{"event":"e","data":"` + strings.Repeat(`\u00e9`, 150*times) + `"}` },
	"message/fields":   func(times int) string { return `{"event":"e"` + strings.Repeat(`,"data":0`, 100*times) + `}` },
	"message/id":       func(times int) string { return `{"event":"e","id":` + strings.Repeat("9", 1000*times) + `}` },
	"message/key":      func(times int) string { return `{"` + strings.Repeat(`\u00e9`, 150*times) + `":0}` },
}

func decodeShape(shape string, wire []byte) {
	if strings.HasPrefix(shape, "packet") {
		_, _ = packet.Decode(wire)
	} else {
		_, _ = packet.DecodeMessage(wire)
	}
}

// TestDecodingTakesMemoryInProportion checks that a decoder's memory is limited to a multiple of
// its input. encoding/json needs most of it, for each level of nesting.
func TestDecodingTakesMemoryInProportion(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	for shape, grow := range shapes {
		wire := []byte(grow(100))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		decodeShape(shape, wire)
		runtime.ReadMemStats(&after)
		if cost := int(after.TotalAlloc - before.TotalAlloc); cost > 16*len(wire)+64<<10 {
			t.Errorf("%s: %d bytes take %d of memory", shape, len(wire), cost)
		}
	}
}

// BenchmarkGrowth decodes inputs of growing size. The time for each byte must not grow.
func BenchmarkGrowth(b *testing.B) {
	for shape, grow := range shapes {
		for _, times := range []int{1, 10, 100} {
			wire := []byte(grow(times))
			b.Run(fmt.Sprintf("%s/%dx", shape, times), func(b *testing.B) {
				b.SetBytes(int64(len(wire)))
				for b.Loop() {
					decodeShape(shape, wire)
				}
			})
		}
	}
}
