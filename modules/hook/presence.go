package hook

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Types of changes of presence. They are no events: no log has them, and "*" does not name
// them.
const (
	PresenceOnline  group.EventType = "presence.online"
	PresenceOffline group.EventType = "presence.offline"
)

const presencePrefix = "presence."

// PresenceChange says that a user is online in a group, or not any more. A user who is
// reconnecting is online.
type PresenceChange struct {
	Type    group.EventType `json:"type"` // PresenceOnline or PresenceOffline
	GroupID string          `json:"groupId"`
	UserID  string          `json:"userId"`
	At      time.Time       `json:"at"`
	N       int64           `json:"n"` // grows with each change in the group: of two about a user, the larger one is right
}

// PresenceFunc is a function of a program that receives changes of presence in a group. If
// it returns an error, it gets them again, or later ones of the same users. It must return
// soon after ctx has ended, which it does after 10 s.
type PresenceFunc func(ctx context.Context, changes []PresenceChange) error

// Deliver implements [Destination].
func (f PresenceFunc) Deliver(ctx context.Context, _ Hook, d Delivery) error {
	return f(ctx, d.Presence)
}

// ignored takes the events of a hook of the program that chose presence only.
func ignored(context.Context, []group.Event) error { return nil }

// WantsPresence reports whether some patterns are types of changes of presence.
func WantsPresence(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(p, presencePrefix) })
}

// wantsEvents reports whether some patterns are types of events.
func wantsEvents(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return !strings.HasPrefix(p, presencePrefix) })
}

// Report says how a user is in a group.
type Report struct {
	GroupID, UserID string

	Online bool
	At     time.Time // since when, by the clock of the presence store
	Seen   time.Time // when that was so, by the same clock. It does not replace a later report
}

// PresenceStore keeps the last change of each user in a group while a hook chose presence,
// and which changes each hook is still to be told. The versions of its positions are values
// of N. All methods are safe for concurrent use, on several nodes.
type PresenceStore interface {
	Positions
	// Record stores what is new in reports, at most one of each user and group, and makes it
	// due for the hooks that chose presence. Without such hooks it stores nothing. It returns
	// how many changes there were.
	Record(ctx context.Context, reports []Report) (changes int, err error)
	// Check returns at most limit groups that were not checked for a time. No node gets them
	// again for as long.
	Check(ctx context.Context, limit int, every time.Duration) (groupIDs []string, err error)
	// Told returns the last report of each user in a group.
	Told(ctx context.Context, groupID string) ([]Report, error)
}
