package audit

import (
	"time"

	"github.com/moim-live/moim/internal/bounds"
)

// Config is what an operator sets about the audit log. The zero value means the
// defaults.
type Config struct {
	Keep time.Duration `key:"keep" help:"how long the audit log keeps an entry"`
}

// WithDefaults returns a copy with the defaults in place of zero values.
func (c Config) WithDefaults() Config {
	if c.Keep == 0 {
		c.Keep = 90 * 24 * time.Hour
	}
	return c
}

// Validate reports every value out of bounds. Call it on a configuration with its
// defaults.
func (c Config) Validate() error {
	return bounds.Check("audit.keep", c.Keep, time.Hour, 100*365*24*time.Hour)
}
