// Package hook sends the events of groups to back ends: every event of the log, in the
// order of a group, at least once.
//
// By choice, a hook is also sent changes of presence: the last one of each user and group,
// at least once.
//
// A [Hook] goes to a URL or to a function of the program. The position of each hook in
// each group is in SQL, so any node goes on where another one has stopped. At most one
// delivery of a hook and a group is under way at a time, and the next one begins only
// after the receiver has accepted it.
//
// The package knows the log of groups. It knows no SQL and no sockets: package sqlhooks
// implements its interfaces.
package hook

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	// MaxHooks is how many hooks a deployment has.
	MaxHooks = 100
	// MaxEvents is how many events a delivery has.
	MaxEvents = 100
	// EnoughBytes is how much data of events ends a delivery earlier, so that most receivers
	// accept the body.
	EnoughBytes = 64 << 10
	// rotation is how long the secret from before also signs.
	rotation = 24 * time.Hour
)

// Source says who manages a hook.
type Source string

// The sources.
const (
	FromAPI     Source = "api"     // back ends
	FromFile    Source = "file"    // the configuration of the nodes
	FromProgram Source = "program" // a function of a program that embeds Moim
)

// Hook is where events are sent to.
type Hook struct {
	ID      string
	Name    string
	Source  Source
	URL     string   // empty: a function
	Events  []string // patterns, as [Matches] has them; also of changes of presence
	Since   time.Time
	Enabled bool
	Problem string // why it is disabled

	Secret    string // signs deliveries, as whsec_…
	Before    string // signs as well for a day after Rotated; empty: none
	Rotated   time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// secrets returns what signs a delivery at an instant.
func (h Hook) secrets(now time.Time) []string {
	if h.Before != "" && now.Before(h.Rotated.Add(rotation)) {
		return []string{h.Secret, h.Before}
	}
	return []string{h.Secret}
}

// Delivery is what a receiver is sent: events of one group, or changes of presence in it,
// in order.
type Delivery struct {
	ID       string
	Hook     string
	GroupID  string
	Gap      bool // events before these were removed from the log before they could be sent
	Events   []group.Event
	Presence []PresenceChange // there are then no events
}

// Destination receives deliveries. It is safe for concurrent use.
type Destination interface {
	// Deliver returns nil if the receiver has accepted the delivery. Its error may be a
	// [*Refusal]. It returns soon after ctx has ended.
	Deliver(ctx context.Context, h Hook, d Delivery) error
}

// Func is a function of a program that receives the events of a group, in order. If it
// returns an error, it gets the same events again. It must return soon after ctx has ended,
// which it does after 10 s.
type Func func(ctx context.Context, events []group.Event) error

// Deliver implements [Destination].
func (f Func) Deliver(ctx context.Context, _ Hook, d Delivery) error {
	if d.Gap {
		ctx = context.WithValue(ctx, gapKey{}, true)
	}
	return f(ctx, d.Events)
}

type gapKey struct{}

// Gap reports, for the context of a [Func], whether events before these were removed from
// the log before they could be sent. There may then be no events at all.
func Gap(ctx context.Context) bool { return ctx.Value(gapKey{}) != nil }

// Refusal is a receiver's answer other than 2xx.
type Refusal struct {
	Status int
	After  time.Duration // how long the receiver asks to wait; 0: it does not say
}

// Error implements error.
func (r *Refusal) Error() string { return "the receiver answered " + statusText(r.Status) }

// Errors of calls about hooks.
var (
	ErrExists   = fault.New(fault.Conflict, "hook_exists", "there is a hook of this name already")
	ErrTooMany  = fault.New(fault.Conflict, "limit_reached", "there are as many hooks as a deployment may have")
	errNoHook   = fault.ErrNotFound.WithMessage("there is no hook of this name")
	errFileHook = fault.New(fault.Conflict, "hook_configured", "the configuration file or the program sets this: change it there, and restart the nodes")
)

func statusText(status int) string {
	text := http.StatusText(status)
	if text == "" {
		text = "status"
	}
	return strconv.Itoa(status) + " " + text
}
