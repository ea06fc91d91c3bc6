package rediscache

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// BePatient makes a tier wait for Redis on a machine that is busy with tests.
func (t *Tier) BePatient() *Tier { return t.wait(10 * time.Second) }

func (t *Tier) wait(timeout time.Duration) *Tier {
	t.timeout = timeout
	if c, ok := t.client.(*redis.Client); ok {
		t.client = c.WithTimeout(t.timeout)
	}
	return t
}

// Hurry makes a tier probe and subscribe again in a fraction of the usual time.
func (t *Tier) Hurry() *Tier {
	t.timing = timing{probeEvery: 100 * time.Millisecond, probeTimeout: 500 * time.Millisecond, retryEvery: 20 * time.Millisecond}
	return t.wait(time.Second)
}

// ProbeChannel returns the tier's own channel.
func (t *Tier) ProbeChannel() string { return t.probe }
