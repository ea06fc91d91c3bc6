package redisrole

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"
)

// ErrProbeMissed is an error of [Prober.Probe].
var ErrProbeMissed = errors.New("the connection is open, but published messages do not arrive on it")

// Prober checks a connection that subscribes. It finds out whether the connection is dead,
// or leads to another server than the one to which this node publishes. Traffic from other
// nodes does not show the latter. If all connections led to the wrong server, probes would
// arrive: for that, see [Clients.Watch].
type Prober struct {
	Ping    func() error                                    // makes the server send something on the connection
	Publish func(ctx context.Context, payload string) error // publishes to a channel that the connection is subscribed to
	Timeout time.Duration                                   // a connection that is silent for so long is dead
	Late    time.Duration                                   // a connection with traffic whose probe takes so long is on the wrong server
	Busy    atomic.Bool                                     // set while the connection is not being read

	heard    atomic.Uint64 // number of received messages of any kind
	sent     atomic.Uint64 // number of the last probe
	returned atomic.Uint64 // number of the last probe that arrived
}

// Heard records that a message was received on the connection.
func (p *Prober) Heard() { p.heard.Add(1) }

// Returned records an arrived probe. payload is untrusted, because anyone may publish on
// the channel.
func (p *Prober) Returned(payload string) {
	if n, err := strconv.ParseUint(payload, 10, 64); err == nil && n > p.returned.Load() && n <= p.sent.Load() {
		p.returned.Store(n)
	}
}

// Probe publishes a probe and waits until it arrives, or returns [ErrProbeMissed]. If the
// probe cannot be published, any message on the connection is enough, for example the
// answer to the ping.
func (p *Prober) Probe(ctx context.Context) (published bool, err error) {
	heard := p.heard.Load()
	if err := p.Ping(); err != nil {
		return false, err
	}
	n := p.sent.Add(1)
	publish, cancel := context.WithTimeout(ctx, p.Timeout)
	published = p.Publish(publish, strconv.FormatUint(n, 10)) == nil
	cancel()
	// Count ticks instead of time, because a process that was suspended did not receive
	// meanwhile.
	every := p.Timeout / 20
	tick := time.NewTicker(every)
	defer tick.Stop()
	for waited := time.Duration(0); ; waited += every {
		alive := p.heard.Load() != heard
		if alive && (!published || p.returned.Load() >= n) {
			return published, nil
		}
		// A connection with a backlog may be late, but not forever.
		limit := p.Timeout
		if alive || p.Busy.Load() {
			limit = p.Late
		}
		if waited >= limit {
			return published, ErrProbeMissed
		}
		select {
		case <-ctx.Done():
			return published, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
