// Package hook sends the events of groups to back ends: every event in the log, in order
// for each group, at least once. A hook may also choose changes of presence. It then gets
// the last change of each user and group, at least once.
//
// A [Hook] sends to a URL or to a function of the program. The position of each hook in
// each group is in SQL, so any node can continue the work of another. At most one delivery
// for a hook and a group is running at a time. The next one begins only after the receiver
// has accepted it.
//
// [Dispatcher] sends, and [Service] manages hooks. The package knows the log of groups. It
// knows no SQL and no sockets: package sqlhooks implements its interfaces.
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
	// MaxHooks is the maximum number of hooks in a deployment.
	MaxHooks = 100
	// MaxEvents is the maximum number of events in a delivery.
	MaxEvents = 100
	// EnoughBytes is the size of event data at which a delivery ends early, so that most
	// receivers accept the body.
	EnoughBytes = 64 << 10
	// rotation is how long the previous secret still signs.
	rotation = 24 * time.Hour
)

// Source says where a hook is managed.
type Source string

// The sources.
const (
	FromAPI     Source = "api"     // by back ends over the API
	FromFile    Source = "file"    // in the configuration file of the nodes
	FromProgram Source = "program" // a function of a program that embeds Moim
)

// Hook describes where events are sent.
type Hook struct {
	ID      string
	Name    string
	Source  Source
	URL     string   // empty for a function
	Events  []string // patterns for [Matches], including changes of presence
	Since   time.Time
	Enabled bool
	Problem string // why the hook is disabled

	Secret    string // signs deliveries, as whsec_…
	Before    string // the previous secret, which also signs for a day after Rotated; may be empty
	Rotated   time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// secrets returns the secrets that sign a delivery at now.
func (h Hook) secrets(now time.Time) []string {
	if h.Before != "" && now.Before(h.Rotated.Add(rotation)) {
		return []string{h.Secret, h.Before}
	}
	return []string{h.Secret}
}

// Delivery is one message to a receiver: events of one group, or changes of presence in it,
// in order.
type Delivery struct {
	ID       string
	Hook     string
	GroupID  string
	Gap      bool // earlier events were removed from the log before they could be sent
	Events   []group.Event
	Presence []PresenceChange // if set, there are no events
}

// Destination receives deliveries. It is safe for concurrent use.
type Destination interface {
	// Deliver returns nil if the receiver has accepted the delivery. Its error may be a
	// [*Refusal]. It returns soon after ctx has ended.
	Deliver(ctx context.Context, h Hook, d Delivery) error
}

// Func is a function of a program that receives the events of a group, in order. If it
// returns an error, it gets the same events again. ctx ends after 10 s; the function must
// then return soon.
type Func func(ctx context.Context, events []group.Event) error

// Deliver implements [Destination].
func (f Func) Deliver(ctx context.Context, _ Hook, d Delivery) error {
	if d.Gap {
		ctx = context.WithValue(ctx, gapKey{}, true)
	}
	return f(ctx, d.Events)
}

type gapKey struct{}

// Gap reports, given the context of a [Func], whether earlier events were removed from the
// log before they could be sent. There may then be no events at all.
func Gap(ctx context.Context) bool { return ctx.Value(gapKey{}) != nil }

// Refusal is an answer of a receiver other than 2xx.
type Refusal struct {
	Status int
	After  time.Duration // how long the receiver asks to wait; 0 if it does not say
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
