package rediscache

import "time"

// BePatient makes a tier wait for Redis on a machine that is busy with tests.
func (t *Tier) BePatient() *Tier { return t.WithCallTimeout(30 * time.Second) }

// Hurry makes a tier probe and subscribe again in a fraction of the usual time. It does not
// take a busy server for a dead one.
func (t *Tier) Hurry() *Tier {
	t.timing = timing{probeEvery: 100 * time.Millisecond, probeTimeout: 3 * time.Second, retryEvery: 20 * time.Millisecond}
	return t.WithCallTimeout(time.Second)
}

// ProbeWithin makes a tier that hurries give its connection up when its probe is late.
func (t *Tier) ProbeWithin(limit time.Duration) { t.timing.probeTimeout = limit }

// ProbeChannel returns the tier's own channel.
func (t *Tier) ProbeChannel() string { return t.probe }
