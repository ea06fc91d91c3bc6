package socket_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
)

// TestDataBeyondABoundIsAnswered sends data beyond the limits. No handler is called, the
// answer names the limit, and the socket stays open.
func TestDataBeyondABoundIsAnswered(t *testing.T) {
	t.Parallel()
	n := start(t, adapter.NewMesh(), testHandlers()...)
	deep := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	wide := func(fields int) string { return "{" + strings.Repeat(`"":0,`, fields-1) + `"":0}` }
	refused := func(why string) string {
		return `"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"body","message":"` + why + `"}]}`
	}
	tooDeep := refused("must nest arrays and objects at most 128 levels deep")
	tooWide := refused("must have at most 10000 fields, including those of nested objects")
	io, plain := connectIO(t, n, "alice"), connectPlain(t, n, "alice")
	for i, c := range []struct{ event, data, answer string }{
		{"raw", deep(128), `"data":` + deep(128)},
		{"raw", deep(129), tooDeep},
		{"echo", deep(9_900), tooDeep},
		{"raw", wide(10_000), `"data":` + wide(10_000)},
		{"raw", wide(10_001), tooWide},
		{"echo", wide(12_000), tooWide},
		{"echo", `{"` + strings.Repeat("x", 1000) + `":0}`, `"error":{"code":"validation_failed","message":"the request breaks a rule; see errors","errors":[{"field":"` +
			strings.Repeat("x", 253) + `…","message":"is not a field of this event"}]}`},
		{"nothing", `{}`, `"data":{}`},
	} {
		io.ask(fmt.Sprintf(`42%d["%s",%s]`, i, c.event, c.data), fmt.Sprintf(`43%d[{%s}]`, i, c.answer))
		plain.ask(fmt.Sprintf(`{"id":%d,"event":"%s","data":%s}`, i, c.event, c.data), fmt.Sprintf(`{"id":%d,%s}`, i, c.answer))
	}
}

// BenchmarkDecode decodes messages of growing size. The time for each byte must not grow.
func BenchmarkDecode(b *testing.B) {
	for name, data := range map[string]func(times int) string{
		"fields": func(times int) string { return `{"text":"x"` + strings.Repeat(`,"times":1`, 100*times) + "}" },
		"text":   func(times int) string { return `{"text":"` + strings.Repeat("x", 600*times) + `"}` },
		"number": func(times int) string { return `{"times":` + strings.Repeat("9", 600*times) + `}` },
		"deep":   func(times int) string { return strings.Repeat("[", 90*times) + strings.Repeat("]", 90*times) },
	} {
		for _, times := range []int{1, 10, 100} {
			wire := []byte(`{"id":1,"event":"echo","data":` + data(times) + `}`)
			b.Run(fmt.Sprintf("%s/%dx", name, times), func(b *testing.B) {
				b.SetBytes(int64(len(wire)))
				for b.Loop() {
					m, err := packet.DecodeMessage(wire)
					if err != nil {
						b.Fatal(err)
					}
					_, _ = socket.Decode[echoRequest](m.Data)
				}
			})
		}
	}
}
