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

// Prober finds out whether a connection that subscribes is dead, or goes to another server
// than the one that this node publishes to. The traffic of other nodes does not show the
// second. If all connections went to a wrong server, probes would arrive: see [Clients.Watch].
type Prober struct {
	Ping    func() error                                    // makes the server send something on the connection
	Publish func(ctx context.Context, payload string) error // to a channel that it is subscribed to
	Timeout time.Duration                                   // after which a silent connection is dead
	Late    time.Duration                                   // after which one with traffic is on the wrong server
	Busy    atomic.Bool                                     // set while the connection is not read from

	heard    atomic.Uint64 // messages of any kind
	sent     atomic.Uint64 // number of the last probe
	returned atomic.Uint64 // number of the last one that arrived
}

// Heard notes that something was read from the connection.
func (p *Prober) Heard() { p.heard.Add(1) }

// Returned notes a probe. Anyone may publish anything on the channel.
func (p *Prober) Returned(payload string) {
	if n, err := strconv.ParseUint(payload, 10, 64); err == nil && n > p.returned.Load() && n <= p.sent.Load() {
		p.returned.Store(n)
	}
}

// Probe publishes a probe and waits until it arrives, or returns [ErrProbeMissed]. If it
// could not be published, any message on the connection, such as the answer to the ping, is
// enough.
func (p *Prober) Probe(ctx context.Context) (published bool, err error) {
	heard := p.heard.Load()
	if err := p.Ping(); err != nil {
		return false, err
	}
	n := p.sent.Add(1)
	publish, cancel := context.WithTimeout(ctx, p.Timeout)
	published = p.Publish(publish, strconv.FormatUint(n, 10)) == nil
	cancel()
	// Ticks are counted instead of time: a process that stood still did not listen
	// meanwhile.
	every := p.Timeout / 20
	tick := time.NewTicker(every)
	defer tick.Stop()
	for waited := time.Duration(0); ; waited += every {
		alive := p.heard.Load() != heard
		if alive && (!published || p.returned.Load() >= n) {
			return published, nil
		}
		// A connection with a backlog may be late, but not for ever.
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
