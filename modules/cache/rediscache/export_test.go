package rediscache

import "time"

// BePatient makes a tier wait for Redis on a machine that is busy with tests.
func (t *Tier) BePatient() *Tier { return t.WithCallTimeout(10 * time.Second) }

// Hurry makes a tier probe and subscribe again in a fraction of the usual time.
func (t *Tier) Hurry() *Tier {
	t.timing = timing{probeEvery: 100 * time.Millisecond, probeTimeout: 500 * time.Millisecond, retryEvery: 20 * time.Millisecond}
	return t.WithCallTimeout(time.Second)
}

// ProbeChannel returns the tier's own channel.
func (t *Tier) ProbeChannel() string { return t.probe }
