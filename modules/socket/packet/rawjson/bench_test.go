package rawjson_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

var object = []byte(`{"groupId":"01968f3e-7c1a-7000-8000-000000000000","type":"cursor","data":{"sent":"0000000000000000000","text":"We start at seven, in the room on the left. We start at seven, in the room on the left."}}`)

// BenchmarkObject compares splitting a request with encoding/json.
func BenchmarkObject(b *testing.B) {
	b.Run("rawjson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !json.Valid(object) {
				b.Fatal("not valid")
			}
			fields := make(map[string]json.RawMessage)
			members, _ := rawjson.Split(object, len(object))
			for _, member := range members {
				key, value := rawjson.Member(member)
				fields[key] = value
			}
		}
	})
	b.Run("encoding", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(object, &fields); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGrowth runs each function over inputs of three sizes. The time for each byte must not
// grow.
func BenchmarkGrowth(b *testing.B) {
	for name, run := range map[string]func(data []byte){
		"Check": func(data []byte) { _ = rawjson.Check(data) },
		"Depth": func(data []byte) { rawjson.Depth(data) },
		"Split": func(data []byte) {
			members, _ := rawjson.Split(data, len(data))
			for _, member := range members {
				rawjson.Member(member)
			}
		},
		"Parse": func(data []byte) { rawjson.Parse(data) },
		"Text":  func(data []byte) { rawjson.Text(data) },
	} {
		for shape, grow := range map[string]func(times int) string{
			"fields": func(times int) string { return wide(100 * times) },
			"leaf": func(times int) string {
				return strings.Repeat(`{"a":`, 60) + `"` + strings.Repeat("x", 2000*times) + `"` + strings.Repeat("}", 60)
			},
			"string": func(times int) string { return `"` + strings.Repeat(`\u00e9`, 300*times) + `"` },
		} {
			if (name == "Text") != (shape == "string") {
				continue
			}
			for _, times := range []int{1, 10, 100} {
				data := []byte(grow(times))
				b.Run(fmt.Sprintf("%s/%s/%dx", name, shape, times), func(b *testing.B) {
					b.SetBytes(int64(len(data)))
					for b.Loop() {
						run(data)
					}
				})
			}
		}
	}
}
