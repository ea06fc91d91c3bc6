package socket

import (
	"cmp"
	"errors"
	"time"

	"github.com/moim-live/moim/internal/bounds"
)

// The adapters that [Config] can name.
const (
	AdapterMemory = "memory"
	AdapterRedis  = "redis"
)

// Config is what an operator sets about sockets. The zero value means the
// defaults.
type Config struct {
	MaxFrame     int64         `key:"max.frame" help:"bytes a client may send in one message"`
	MaxBacklog   int           `key:"max.backlog" help:"bytes queued for one socket before it is closed as a slow consumer"`
	Gather       time.Duration `key:"gather" help:"how long frames for a busy socket are gathered into one write"`
	PingInterval time.Duration `key:"ping.interval" help:"time between heartbeats"`
	PingTimeout  time.Duration `key:"ping.timeout" help:"time that a client has to answer a heartbeat"`
	Adapter      string        `key:"adapter" help:"what carries events between nodes: redis or memory; empty: redis when the socket role has a server"`
}

// WithDefaults returns a copy with the defaults in place of zero values.
func (c Config) WithDefaults() Config {
	c.MaxFrame = cmp.Or(c.MaxFrame, 65_536)
	c.MaxBacklog = cmp.Or(c.MaxBacklog, 1_048_576)
	c.Gather = cmp.Or(c.Gather, 5*time.Millisecond)
	c.PingInterval = cmp.Or(c.PingInterval, 25*time.Second)
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	return c
}

// Validate reports every value out of bounds. Call it on a configuration with
// its defaults.
func (c Config) Validate() error {
	var adapter error
	if c.Adapter != "" && c.Adapter != AdapterMemory && c.Adapter != AdapterRedis {
		adapter = errors.New("socket.adapter: it must be redis or memory")
	}
	return errors.Join(
		bounds.Check("socket.max.frame", c.MaxFrame, 1024, 64<<20),
		bounds.Check("socket.max.backlog", c.MaxBacklog, 16<<10, 1<<30),
		bounds.Check("socket.gather", c.Gather, 0, time.Second),
		bounds.Check("socket.ping.interval", c.PingInterval, time.Second, time.Hour),
		bounds.Check("socket.ping.timeout", c.PingTimeout, time.Second, time.Hour),
		adapter,
	)
}
