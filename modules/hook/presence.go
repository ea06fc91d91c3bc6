package hook

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Types of changes of presence. They are not events: they are not in the log, and "*" does
// not match them.
const (
	PresenceOnline  group.EventType = "presence.online"
	PresenceOffline group.EventType = "presence.offline"
)

const presencePrefix = "presence."

// PresenceChange says that a user came online in a group, or went offline. A reconnecting
// user counts as online.
type PresenceChange struct {
	Type    group.EventType `json:"type"` // PresenceOnline or PresenceOffline
	GroupID string          `json:"groupId"`
	UserID  string          `json:"userId"`
	At      time.Time       `json:"at"`
	N       int64           `json:"n"` // grows with each change in the group: of two changes of a user, the larger N is current
}

// PresenceFunc is a function of a program that receives changes of presence in a group. If
// it returns an error, it gets them again, or later ones of the same users. ctx ends after
// 10 s; the function must then return soon.
type PresenceFunc func(ctx context.Context, changes []PresenceChange) error

// Deliver implements [Destination].
func (f PresenceFunc) Deliver(ctx context.Context, _ Hook, d Delivery) error {
	return f(ctx, d.Presence)
}

// ignored is the Func of a program's hook that chose presence only.
func ignored(context.Context, []group.Event) error { return nil }

// WantsPresence reports whether a pattern is a type of change of presence.
func WantsPresence(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(p, presencePrefix) })
}

// wantsEvents reports whether a pattern matches types of events.
func wantsEvents(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return !strings.HasPrefix(p, presencePrefix) })
}

// Report is the presence of a user in a group.
type Report struct {
	GroupID, UserID string

	Online bool
	At     time.Time // time of the change, by the clock of the presence store
	Seen   time.Time // time of the observation, by the same clock; an older report does not replace a newer one
}

// PresenceStore keeps the last change of each user in a group while a hook chose presence.
// It also keeps which changes are still to be sent to each hook. The versions in its
// positions are values of N. It is safe for concurrent use, also by several nodes.
type PresenceStore interface {
	Positions
	// Record stores the changes in reports, with at most one report for each user and
	// group, and makes them due for the hooks that chose presence. Without such hooks it
	// stores nothing. It returns the number of changes.
	Record(ctx context.Context, reports []Report) (changes int, err error)
	// Check returns at most limit groups that were not checked for the time every. No node
	// gets them again within that time.
	Check(ctx context.Context, limit int, every time.Duration) (groupIDs []string, err error)
	// Told returns the last stored report of each user in a group.
	Told(ctx context.Context, groupID string) ([]Report, error)
}
