package console

import "github.com/moim-live/moim/internal/toggle"

// Config sets which pages the node serves.
type Config struct {
	Enabled toggle.Switch `key:"enabled" help:"whether the node serves the operators' console at /console/, and a page at /, which is a demo if the node has a development secret"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	if c.Enabled == 0 {
		c.Enabled = toggle.On
	}
	return c
}
