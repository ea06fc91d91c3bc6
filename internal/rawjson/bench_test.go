package rawjson_test

import (
	"encoding/json"
	"testing"

	"github.com/moim-live/moim/internal/rawjson"
)

var object = []byte(`{"groupId":"01968f3e-7c1a-7000-8000-000000000000","type":"cursor","data":{"sent":"0000000000000000000","text":"We start at seven, in the room on the left. We start at seven, in the room on the left."}}`)

// BenchmarkObject takes a request apart, and does the same with encoding/json.
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
