package group

import (
	"errors"
	"time"

	"github.com/moim-live/moim/internal/bounds"
	"github.com/moim-live/moim/modules/limit"
)

// Config holds an operator's settings of groups. Zero values mean the defaults.
type Config struct {
	PresenceGrace  time.Duration `key:"presence.grace" help:"how long a member without a socket stays reconnecting before going offline"`
	PresenceWindow time.Duration `key:"presence.window" help:"how long presence changes and read marks are collected before they are sent"`
	RetentionCount int           `key:"retention.count" help:"minimum number of events to keep for each group, if retention.bytes allows it"`
	RetentionAge   time.Duration `key:"retention.age" help:"minimum time to keep each event, if retention.bytes allows it"`
	RetentionBytes limit.Size    `key:"retention.bytes" help:"maximum size of a group's log, such as 64MiB: the oldest events are removed, even if count and age would keep them; 0: no maximum"`
	Add            string        `key:"add" help:"what happens when an admin adds users to a group: invite sends them an invitation, direct adds them at once"`
	DeletedKeep    time.Duration `key:"deleted.keep" help:"how long the rows of a deleted group are kept"`
	LimitOwned     int           `key:"limit.owned" help:"groups that a user may own or have created; back ends are exempt"`
	LimitJoined    int           `key:"limit.joined" help:"groups that a user may be a member of; back ends are exempt"`
	LimitMembers   int           `key:"limit.members" help:"members that a group may have"`
}

// The values of Config.Add.
const (
	AddInvite = "invite"
	AddDirect = "direct"
)

// minRetentionAge is the minimum time for which clients can rely on an event.
const minRetentionAge = 24 * time.Hour

// minRetentionBytes has room for the largest events, so that clients can page through them.
const minRetentionBytes = 1 << 20

// MinDeletedKeep is how long the feed may still read the log of a deleted group.
const MinDeletedKeep = 24 * time.Hour

// WithDefaults returns a copy with the defaults in place of zero values.
func (c Config) WithDefaults() Config {
	orDefault(&c.PresenceGrace, 10*time.Second)
	orDefault(&c.PresenceWindow, 200*time.Millisecond)
	orDefault(&c.RetentionCount, 10_000)
	orDefault(&c.RetentionAge, 720*time.Hour)
	orDefault(&c.RetentionBytes, 64<<20)
	orDefault(&c.Add, AddInvite)
	orDefault(&c.DeletedKeep, MinDeletedKeep)
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

// Validate returns an error for every value out of range. Call it after WithDefaults.
func (c Config) Validate() error {
	var add, bytes error
	if c.Add != AddInvite && c.Add != AddDirect {
		add = errors.New("group.add: must be invite or direct")
	}
	if c.RetentionBytes != limit.NoSize {
		bytes = bounds.Check("group.retention.bytes", c.RetentionBytes, minRetentionBytes, 1<<40)
	}
	return errors.Join(
		add,
		bytes,
		bounds.Check("group.presence.grace", c.PresenceGrace, 0, time.Hour),
		bounds.Check("group.presence.window", c.PresenceWindow, 0, 10*time.Second),
		bounds.Check("group.retention.count", c.RetentionCount, 1, 100_000_000),
		bounds.Check("group.retention.age", c.RetentionAge, minRetentionAge, 100*365*24*time.Hour),
		bounds.Check("group.deleted.keep", c.DeletedKeep, MinDeletedKeep, 100*365*24*time.Hour),
		bounds.Check("group.limit.owned", c.LimitOwned, 1, 1_000_000_000),
		bounds.Check("group.limit.joined", c.LimitJoined, 1, 1_000_000_000),
		bounds.Check("group.limit.members", c.LimitMembers, 1, 1_000_000_000),
	)
}
