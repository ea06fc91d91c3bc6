package cache

import (
	"cmp"
	"fmt"
	"time"
)

// Config is what an operator sets about the cache. The zero value means the
// defaults.
type Config struct {
	TTL time.Duration `key:"ttl" help:"how long a cached record is fresh; it is used for a tenth longer while it is read again"`
}

// WithDefaults returns a copy with the defaults in place of zero values.
func (c Config) WithDefaults() Config {
	c.TTL = cmp.Or(c.TTL, 5*time.Minute)
	return c
}

// Validate reports every value out of bounds. Call it on a configuration with
// its defaults.
func (c Config) Validate() error {
	if c.TTL < time.Second || c.TTL > 24*time.Hour {
		return fmt.Errorf("cache.ttl: must be between 1s and 24h, not %v", c.TTL)
	}
	return nil
}
