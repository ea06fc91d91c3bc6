package group

import (
	"errors"
	"time"

	"github.com/moim-live/moim/internal/bounds"
)

// Config is what an operator sets about groups. The zero value means the
// defaults.
type Config struct {
	PresenceGrace  time.Duration `key:"presence.grace" help:"between a member's last socket and offline"`
	PresenceWindow time.Duration `key:"presence.window" help:"presence changes are gathered this long"`
	RetentionCount int           `key:"retention.count" help:"events kept a group, whatever their age"`
	RetentionAge   time.Duration `key:"retention.age" help:"events are kept this long, however many"`
	LimitOwned     int           `key:"limit.owned" help:"groups that a user may own; what back ends do is exempt"`
	LimitJoined    int           `key:"limit.joined" help:"groups that a user may be in; what back ends do is exempt"`
	LimitMembers   int           `key:"limit.members" help:"members that a group may have"`
}

// minRetentionAge is how long the feed needs a deleted group's log.
const minRetentionAge = 24 * time.Hour

// WithDefaults returns a copy with the defaults in place of zero values.
func (c Config) WithDefaults() Config {
	orDefault(&c.PresenceGrace, 10*time.Second)
	orDefault(&c.PresenceWindow, 200*time.Millisecond)
	orDefault(&c.RetentionCount, 10_000)
	orDefault(&c.RetentionAge, 720*time.Hour)
	orDefault(&c.LimitOwned, 1_000)
	orDefault(&c.LimitJoined, 10_000)
	orDefault(&c.LimitMembers, 100_000)
	return c
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Validate reports every value out of bounds. Call it on a configuration with
// its defaults.
func (c Config) Validate() error {
	return errors.Join(
		bounds.Check("group.presence.grace", c.PresenceGrace, 0, time.Hour),
		bounds.Check("group.presence.window", c.PresenceWindow, 0, 10*time.Second),
		bounds.Check("group.retention.count", c.RetentionCount, 1, 100_000_000),
		bounds.Check("group.retention.age", c.RetentionAge, minRetentionAge, 100*365*24*time.Hour),
		bounds.Check("group.limit.owned", c.LimitOwned, 1, 1_000_000_000),
		bounds.Check("group.limit.joined", c.LimitJoined, 1, 1_000_000_000),
		bounds.Check("group.limit.members", c.LimitMembers, 1, 1_000_000_000),
	)
}
