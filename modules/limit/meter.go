package limit

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	// persistence is how long a socket may go on with requests that are refused.
	persistence = 30 * time.Second
	// pause is how long a socket without a refusal has to last to start again.
	pause = 5 * time.Second
)

// Meter counts what one socket sends. It is not safe for concurrent use. A nil *Meter
// allows everything.
type Meter struct {
	limits          *Limits
	requests, bytes *rate.Limiter // nil: not limited

	since, last time.Time // of the refusals that follow each other
}

// Meter returns the meter of a new socket.
func (l *Limits) Meter() *Meter {
	if l == nil {
		return nil
	}
	m := &Meter{limits: l}
	if r := l.cfg.SocketRequests; !r.off() {
		m.requests = newLimiter(r)
	}
	if r := Rate(l.cfg.SocketBytes); !r.off() {
		m.bytes = newLimiter(r)
	}
	return m
}

// Request allows a request of size bytes. insists reports whether the socket has gone on
// for 30 s with requests that were refused: then close it.
func (m *Meter) Request(size int) (insists bool, err error) {
	if m == nil {
		return false, nil
	}
	l, now := m.limits, m.limits.now()
	if wait := takeOne(m.bytes, Rate(l.cfg.SocketBytes), int64(size), now); wait > 0 {
		return m.insists(now), l.refuse("socket.bytes", l.cfg.SocketBytes, wait)
	}
	if wait := takeOne(m.requests, l.cfg.SocketRequests, 1, now); wait > 0 {
		return m.insists(now), l.refuse("socket.requests", l.cfg.SocketRequests, wait)
	}
	return false, nil
}

func takeOne(limiter *rate.Limiter, r Rate, n int64, now time.Time) time.Duration {
	if limiter == nil {
		return 0
	}
	return takeFrom(limiter, r, n, now)
}

func (m *Meter) insists(now time.Time) bool {
	if now.Sub(m.last) > pause {
		m.since = now
	}
	m.last = now
	return now.Sub(m.since) >= persistence
}
