package engine

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// The clients of a stopping node reconnect to the other nodes at a limited rate.
const (
	drainPace = 10 * time.Millisecond // maximum time between two closes of a drain

	comeBackPace = time.Millisecond // time for each client to come back
	comeBackMin  = time.Second
	comeBackMax  = 30 * time.Second
)

// comeBackSpan returns the time over which that many clients are spread.
func comeBackSpan(clients int) time.Duration {
	return min(max(comeBackPace*time.Duration(clients), comeBackMin), comeBackMax)
}

// Drain refuses new connections and closes the open ones as [Drained]. It spreads the
// closes over at most half of the time until ctx's deadline, so that clients do not all
// reconnect at once. It tells each plain client to reconnect after a random time. Drain
// returns when all connections are gone and no receiver will be called any more. When ctx
// ends, it cuts the remaining connections and returns ctx's error. A drained engine cannot
// be used again.
func (e *Engine) Drain(ctx context.Context) error {
	conns := e.beginDrain()
	back := comeBackSpan(len(conns))
	span := min(back, drainPace*time.Duration(len(conns)))
	if deadline, ok := ctx.Deadline(); ok {
		span = min(span, time.Until(deadline)/2)
	}
	began := time.Now()
	for i, c := range conns {
		next := began.Add(span * time.Duration(i) / time.Duration(len(conns)))
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
		}
		e.sendAway(c, back)
	}
	select {
	case <-e.empty:
		e.poller.wait()
		return e.upgrader.readers.Finish(ctx)
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.cut(Drained)
	}
	_ = e.upgrader.readers.Finish(ctx) // they end with their connections
	return ctx.Err()
}

// CloseAll closes the open connections as [Drained] at once, but still accepts new ones. It
// tells plain clients when to reconnect, like [Engine.Drain].
func (e *Engine) CloseAll() {
	e.mu.Lock()
	conns := slices.Collect(maps.Keys(e.conns))
	e.mu.Unlock()
	for _, c := range conns {
		e.sendAway(c, comeBackSpan(len(conns)))
	}
}

// sendAway closes a connection and tells its client to reconnect at a random time within
// span. socket.io-client chooses a time itself.
func (e *Engine) sendAway(c *Conn, span time.Duration) {
	if c.protocol == Plain && e.cfg.Reconnect != nil {
		c.Send(e.cfg.Reconnect(rand.N(span)))
	}
	c.Close(Drained)
}

// beginDrain makes add refuse connections, and returns the open ones.
func (e *Engine) beginDrain() []*Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.draining && len(e.conns) == 0 {
		e.drainedLocked()
	}
	e.draining = true
	return slices.Collect(maps.Keys(e.conns))
}
