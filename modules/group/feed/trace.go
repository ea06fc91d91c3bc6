package feed

import (
	"time"

	"github.com/moim-live/moim/internal/tracing"
)

// traced adds a span for each traced event that was sent to live subscribers.
func (f *Feed) traced(s *step, began, ended time.Time) {
	for _, it := range s.events {
		if it.trace == "" || !f.tracer.On() {
			continue
		}
		f.tracer.Record(it.trace, "deliver "+string(it.typ), tracing.Consumer, began, ended,
			tracing.String("moim.group.id", it.groupID), tracing.Int("moim.event.version", int(it.version)),
			tracing.Int("moim.sockets", len(s.live)))
	}
}
