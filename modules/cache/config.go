package cache

import (
	"cmp"
	"fmt"
	"time"
)

// Config holds an operator's settings. The zero value means the defaults.
type Config struct {
	TTL time.Duration `key:"ttl" help:"how long a cached record stays fresh; while it is reloaded, it is served for up to a tenth longer"`
}

// WithDefaults returns a copy with the defaults in place of zero values.
func (c Config) WithDefaults() Config {
	c.TTL = cmp.Or(c.TTL, 5*time.Minute)
	return c
}

// Validate returns an error for a value out of range. Call it after WithDefaults.
func (c Config) Validate() error {
	if c.TTL < time.Second || c.TTL > 24*time.Hour {
		return fmt.Errorf("cache.ttl: must be between 1s and 24h, not %v", c.TTL)
	}
	return nil
}
