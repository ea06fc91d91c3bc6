package redisadapter

import "time"

// Hurry makes an adapter probe and reconnect much faster than usual. It still does not treat a
// busy server as down.
func Hurry(a *Adapter) {
	a.timing = Timing{
		ProbeEvery:   100 * time.Millisecond,
		ProbeTimeout: 3 * time.Second,
		ProbeLate:    6 * time.Second,
		BackoffMin:   5 * time.Millisecond,
		BackoffMax:   50 * time.Millisecond,
		Publish:      2 * time.Second,
	}
}

// BePatient makes an adapter wait for a busy server without limit. Its client needs the same
// setting.
func BePatient(a *Adapter) {
	a.timing.Publish, a.timing.ProbeTimeout, a.timing.ProbeLate = time.Minute, time.Minute, time.Minute
}

// ProbeWithin sets the time after which an adapter closes a connection whose probe is late. Use
// it after Hurry.
func ProbeWithin(a *Adapter, limit time.Duration) {
	a.timing.ProbeTimeout, a.timing.ProbeLate = limit, limit
}

// ProbeChannel returns the adapter's own channel.
func ProbeChannel(a *Adapter) string { return a.shards[0].probe }
