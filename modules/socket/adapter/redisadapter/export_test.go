package redisadapter

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

// Hurry makes an adapter probe and reconnect in a fraction of the usual time.
func Hurry(a *Adapter) {
	a.timing = timing{
		probeEvery:   100 * time.Millisecond,
		probeTimeout: 300 * time.Millisecond,
		probeLate:    2 * time.Second,
		backoffMin:   5 * time.Millisecond,
		backoffMax:   50 * time.Millisecond,
	}
}

// ProbeChannel returns the adapter's own channel.
func ProbeChannel(a *Adapter) string { return a.links[0].shards[0].probe }

// NoConnections makes an adapter that is not started find no connection to
// publish on but its client's: dial is asked for one, and fails.
func NoConnections(a *Adapter, dial func(context.Context) error) {
	for _, s := range a.links[0].shards {
		if p, ok := s.publisher.carrier.(*pipe); ok {
			p.dial = func(ctx context.Context) (*redisrole.Conn, error) { return nil, dial(ctx) }
		}
	}
}
