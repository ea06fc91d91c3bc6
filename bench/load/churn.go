//go:build linux

package load

import (
	"bytes"
	"slices"
	"time"
)

// churning is how clients come and go, and how many of them have.
type churning struct {
	Churn
	start                    time.Time
	reconnects, resubscribes int
	next                     int // the connection whose turn it is
}

func (l *loop) begin(churn Churn) {
	l.churning = churning{Churn: churn, start: time.Now(), next: l.churning.next}
}

// churn lets as many clients come and go as are due, all in turn.
func (l *loop) churn() error {
	h := &l.churning
	if h.Churn == (Churn{}) {
		return nil
	}
	seconds := time.Since(h.start).Seconds()
	for ; h.reconnects < int(seconds*float64(h.Reconnects)); h.reconnects++ {
		if c := l.pick(ready, closed); c != nil {
			if err := l.reconnect(c); err != nil {
				return err
			}
		}
	}
	for ; h.resubscribes < int(seconds*float64(h.Resubscribes)); h.resubscribes++ {
		if c := l.pick(ready); c != nil && c.resubscribe() != nil {
			c.close()
			l.lost++
		}
	}
	return nil
}

// pick returns the next connection in one of these phases, or nil.
func (l *loop) pick(phases ...phase) *conn {
	for range l.conns {
		c := l.conns[l.churning.next%len(l.conns)]
		l.churning.next++
		if slices.Contains(phases, c.phase) {
			return c
		}
	}
	return nil
}

// reconnect closes a connection and opens another for the same client.
func (l *loop) reconnect(old *conn) error {
	old.close()
	c, err := dial(old.session, old.number)
	if err != nil {
		return err
	}
	c.steps, c.seen = old.session.Resume.Reconnect, old.seen
	l.conns[c.number] = c
	return l.watch(c)
}

func (c *conn) resubscribe() error {
	c.steps, c.step, c.phase = c.session.Resume.Resubscribe, 0, talking
	return c.proceed()
}

// remember takes the number after the marker, if there is one.
func (c *conn) remember(message []byte) {
	i := bytes.Index(message, c.marker)
	if i < 0 {
		return
	}
	c.seen = 0
	for _, digit := range message[i+len(c.marker):] {
		if digit < '0' || digit > '9' {
			return
		}
		c.seen = 10*c.seen + int64(digit-'0')
	}
}
