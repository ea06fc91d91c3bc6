package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// inSoak returns n, or many if MOIM_SOAK is set. With many, the same tests run for longer.
func inSoak[T any](n, many T) T {
	if os.Getenv("MOIM_SOAK") != "" {
		return many
	}
	return n
}

// load is a number of writers that post messages to groups through all nodes in turn. They work
// like a careful application: each message has an idempotency key, and they retry an unanswered
// call on the next node.
type load struct {
	t      *testing.T
	d      *deployment
	groups []string

	stopping chan struct{}
	writers  sync.WaitGroup
	acked    atomic.Int64 // messages that a node acknowledged
	again    atomic.Int64 // retried calls
	slowest  atomic.Int64 // nanoseconds until a message was acknowledged
}

// patience is how long a writer tries to get one message acknowledged.
const patience = time.Minute

// startLoad posts at most perSecond messages per second until stop is called.
func startLoad(t *testing.T, d *deployment, groups []string, writers, perSecond int) *load {
	l := &load{t: t, d: d, groups: groups, stopping: make(chan struct{})}
	t.Cleanup(l.stop)
	for w := range writers {
		l.writers.Go(func() { l.write(w, time.Second*time.Duration(writers)/time.Duration(perSecond)) })
	}
	return l
}

// stop ends the writers and waits for their last answers. It may be called twice.
func (l *load) stop() {
	select {
	case <-l.stopping:
	default:
		close(l.stopping)
	}
	l.writers.Wait()
}

func (l *load) write(w int, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-l.stopping:
			return
		case <-tick.C:
		}
		if !l.post(w, n) {
			return
		}
	}
}

// post posts one message and retries until a node acknowledges it.
func (l *load) post(w, n int) bool {
	began := time.Now()
	path := "/groups/" + l.groups[(w+n)%len(l.groups)] + "/messages"
	for try := 0; time.Since(began) < patience; try++ {
		as := l.d.api(w+n+try, "ana").under(fmt.Sprintf("%s/%d/%d", l.t.Name(), w, n))
		_, err := as.do(l.t.Context(), http.MethodPost, path, object{"data": object{"writer": w, "n": n}}, nil)
		if err == nil {
			l.acked.Add(1)
			l.slowest.Store(max(l.slowest.Load(), int64(time.Since(began))))
			return true
		}
		if refusal, ok := errors.AsType[*apiError](err); ok && refusal.Status != http.StatusServiceUnavailable {
			l.t.Errorf("message %d of writer %d: %v", n, w, err)
			return false
		}
		l.again.Add(1)
		select {
		case <-time.After(20 * time.Millisecond):
		case <-l.t.Context().Done():
			return false
		}
	}
	l.t.Errorf("message %d of writer %d was not acknowledged within %s", n, w, patience)
	return false
}

// needEachOnce checks that each acknowledged message is in the streams exactly once. The streams
// are one of each group, and must start before the first message. It returns how many messages
// are lost and how many are doubled.
func (l *load) needEachOnce(streams []*stream) (lost, doubled int) {
	l.t.Helper()
	type id struct{ Writer, N int }
	seen := make(map[id]int)
	for _, s := range streams {
		for _, e := range s.received() {
			var m id
			if e.Type != "message.posted" {
				continue
			}
			var posted struct{ Data id }
			if err := json.Unmarshal(e.Data, &posted); err != nil {
				l.t.Errorf("message %d: %v", e.Version, err)
			}
			m = posted.Data
			seen[m]++
		}
	}
	for _, times := range seen {
		doubled += times - 1
	}
	unknown := len(seen) - int(l.acked.Load())
	if unknown > 0 {
		l.t.Errorf("the logs have %d messages that were not acknowledged", unknown)
	}
	lost = max(0, -unknown)
	if lost > 0 || doubled > 0 {
		l.t.Errorf("%d acknowledged messages were lost and %d arrived twice", lost, doubled)
	}
	return lost, doubled
}
