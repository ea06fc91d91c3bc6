package redisadapter

import "time"

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
