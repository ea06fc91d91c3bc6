package redisadapter

import "time"

// Hurry makes an adapter probe and reconnect in a fraction of the usual time. It does
// not take a busy server for a dead one.
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

// BePatient makes an adapter wait for a server that is busy, however long that takes. Its
// client must be as patient.
func BePatient(a *Adapter) {
	a.timing.Publish, a.timing.ProbeTimeout, a.timing.ProbeLate = time.Minute, time.Minute, time.Minute
}

// ProbeWithin makes an adapter that hurries give up a connection when its probe is late.
func ProbeWithin(a *Adapter, limit time.Duration) {
	a.timing.ProbeTimeout, a.timing.ProbeLate = limit, limit
}

// ProbeChannel returns the adapter's own channel.
func ProbeChannel(a *Adapter) string { return a.shards[0].probe }
