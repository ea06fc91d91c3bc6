package redisadapter_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// BenchmarkPublish measures envelopes from one node to another. The name contains the number of
// goroutines that publish at once. Each waits for the server's answer.
func BenchmarkPublish(b *testing.B) {
	for _, senders := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			s := redistest.Start(b)
			cfg := redisrole.Config{URL: s.URL()}
			from, to := newNode(b, cfg, nil), newNode(b, cfg, nil)
			var received atomic.Int64
			from.start(b)
			if err := to.Start(b.Context(), func(adapter.Envelope) { received.Add(1) }, func() {}); err != nil {
				b.Fatal(err)
			}
			to.join(b, "r")
			env := adapter.Envelope{Room: "r", Event: "group:event", Data: make([]byte, 150)}
			b.ReportAllocs()
			b.SetParallelism(max(1, senders/2))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := from.Publish(b.Context(), env); err != nil {
						b.Error(err)
					}
				}
			})
			waittest.Until(b, "all arrive", func() bool { return received.Load() == int64(b.N) })
		})
	}
}
