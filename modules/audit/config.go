package audit

import (
	"time"

	"github.com/moim-live/moim/internal/bounds"
)

// Config holds an operator's settings of the audit log. Zero values mean the defaults.
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

// Validate returns an error for every value out of range. Call it after WithDefaults.
func (c Config) Validate() error {
	return bounds.Check("audit.keep", c.Keep, time.Hour, 100*365*24*time.Hour)
}
