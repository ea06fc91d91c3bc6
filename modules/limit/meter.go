package limit

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	// persistence is how long a socket may keep sending requests that are refused.
	persistence = 30 * time.Second
	// pause is the time without a refused request after which persistence starts again.
	pause = 5 * time.Second
)

// Meter limits the requests of one socket. It is not safe for concurrent use. A nil *Meter
// allows everything.
type Meter struct {
	limits          *Limits
	cfg             *Config       // the configuration of the limiters
	requests, bytes *rate.Limiter // nil if there is no limit

	since, last time.Time // of the first and the last refusal in a row
}

// Meter returns a meter for a new socket.
func (l *Limits) Meter() *Meter {
	if l == nil {
		return nil
	}
	return &Meter{limits: l}
}

// follow updates the limiters to the current configuration.
func (m *Meter) follow(now time.Time) {
	if cfg := m.limits.cfg.Load(); cfg != m.cfg {
		m.requests = adjusted(m.requests, cfg.SocketRequests, now)
		m.bytes = adjusted(m.bytes, Rate(cfg.SocketBytes), now)
		m.cfg = cfg
	}
}

func adjusted(l *rate.Limiter, r Rate, now time.Time) *rate.Limiter {
	switch {
	case r.off():
		return nil
	case l == nil:
		return newLimiter(r)
	}
	adjust(l, r, now)
	return l
}

// Request checks a request of size bytes. insists is true if the socket kept sending
// refused requests for 30 s; then close it.
func (m *Meter) Request(size int) (insists bool, err error) {
	if m == nil {
		return false, nil
	}
	l, now := m.limits, m.limits.now()
	m.follow(now)
	if wait := takeOne(m.bytes, Rate(m.cfg.SocketBytes), int64(size), now); wait > 0 {
		return m.insists(now), l.refuse("socket.bytes", m.cfg.SocketBytes, wait)
	}
	if wait := takeOne(m.requests, m.cfg.SocketRequests, 1, now); wait > 0 {
		return m.insists(now), l.refuse("socket.requests", m.cfg.SocketRequests, wait)
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
