package rediscache

import (
	"time"

	"github.com/redis/go-redis/v9"
)

// BePatient makes a tier wait for Redis on a machine that is busy with tests.
func (t *Tier) BePatient() *Tier {
	t.timeout = 10 * time.Second
	if c, ok := t.client.(*redis.Client); ok {
		t.client = c.WithTimeout(t.timeout)
	}
	return t
}
