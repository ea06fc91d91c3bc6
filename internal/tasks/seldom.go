package tasks

import (
	"sync/atomic"
	"time"
)

// Seldom limits how often something is done, for example logging something that clients can
// repeat. The zero value is usable. It is safe for concurrent use.
type Seldom struct{ last atomic.Int64 } // in nanoseconds

// May reports whether to do it now, because the last time was at least every ago.
func (s *Seldom) May(every time.Duration) bool {
	now, last := time.Now().UnixNano(), s.last.Load()
	return now-last >= int64(every) && s.last.CompareAndSwap(last, now)
}
