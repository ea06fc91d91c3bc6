package rediscache

import "time"

// BePatient makes a tier wait for Redis on a busy machine.
func (t *Tier) BePatient() *Tier { return t.WithCallTimeout(30 * time.Second) }

// Hurry makes a tier probe and resubscribe much faster than usual. It still does not treat a busy
// server as down.
func (t *Tier) Hurry() *Tier {
	t.timing = timing{probeEvery: 100 * time.Millisecond, probeTimeout: 3 * time.Second, retryEvery: 20 * time.Millisecond}
	return t.WithCallTimeout(time.Second)
}

// ProbeWithin sets the time after which a tier closes a connection whose probe is late. Use it
// after Hurry.
func (t *Tier) ProbeWithin(limit time.Duration) { t.timing.probeTimeout = limit }

// ProbeChannel returns the tier's own channel.
func (t *Tier) ProbeChannel() string { return t.probe }
