package hook

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// Lease is how long a claim lasts. After that, any node may take it over: the one that
// claimed may have died.
const Lease = 30 * time.Second

// Turn is the right to send the next delivery of a hook and a group. It ends with the
// claim, which Done, Failed, Release or the time ends.
type Turn struct {
	HookID  string
	GroupID string
	Claim   int64
	Version int64 // events up to this one were answered
	Upto    int64 // the delivery ends with this event. A repeat has the same events
	Gap     bool  // events were removed before they were sent, and the hook was not told yet

	Attempts    int        // that failed since the last success
	SeekAt      *time.Time // go to the first event of this instant or later, before anything else
	SeekVersion *int64     // go to the event after this one
}

// seeks reports whether the turn has to go elsewhere first.
func (t Turn) seeks() bool { return t.SeekAt != nil || t.SeekVersion != nil }

// Page is what the log has for a turn.
type Page struct {
	Events []group.Event
	Upto   int64 // the events end here: the turn's, or less if they are many bytes
	Gap    bool  // events after the turn's version are not in the log any more
	Gone   bool  // neither is the group

	Presence []PresenceChange // of a turn of a [PresenceStore], instead of all else but Upto
}

// Failure is a failed attempt.
type Failure struct {
	Status      int           // of the answer; 0: none
	Problem     string        // for people
	Unreachable bool          // it failed because of the receiver, whatever the group
	Retry       time.Duration // when to try again
}

// Positions keeps how far each hook is in each group. What ends a turn does nothing if its
// claim is over. All methods are safe for concurrent use, on several nodes.
type Positions interface {
	// Claim claims groups for which something is to be sent, the one that waits longest
	// first, at most limit. early also claims those that failed and are to be tried later. It claims none while
	// the hook is disabled or paused.
	Claim(ctx context.Context, hookID string, limit int, early bool) ([]Turn, error)
	// Seek goes where the turn has to go, and returns it from there. It returns false if
	// that has changed, or the claim is over.
	Seek(ctx context.Context, t Turn) (Turn, bool, error)
	// Read reads what the turn is to send.
	Read(ctx context.Context, t Turn) (Page, error)
	// Narrow makes the turn's delivery end with an earlier event. It returns false if the
	// claim is over.
	Narrow(ctx context.Context, t Turn, upto int64) (bool, error)
	// Revive makes due at once, at most limit, what failed because the receiver did not
	// answer. It returns how many it found.
	Revive(ctx context.Context, hookID string, limit int) (int, error)
	Ends
}

// Ends end turns.
type Ends interface {
	// Done records that events up to upto were answered with status, and whether there is a
	// gap that the hook was not told of. If there is more, and goOn, it returns the next
	// turn of the same claim, which then lasts for another [Lease].
	Done(ctx context.Context, t Turn, upto int64, status int, gap, goOn bool) (*Turn, error)
	// Failed records a failed attempt. The group is parked if it has failed for [Patience].
	Failed(ctx context.Context, t Turn, f Failure) (parked bool, err error)
	// Release ends the claim. The turn is tried again at once.
	Release(ctx context.Context, t Turn) error
	// Drop forgets the position in a group that is gone.
	Drop(ctx context.Context, t Turn) error
}

// Spreader makes groups due for hooks.
type Spreader interface {
	// Spread takes at most limit marks that events left on their groups, and makes these
	// groups due for every hook. It returns how many it took.
	Spread(ctx context.Context, limit int) (taken int, err error)
	// Sweep does a part of what is to be done in all groups: replays, and removing the
	// positions of deleted hooks. It reports whether there is more.
	Sweep(ctx context.Context) (more bool, err error)
	// Pause makes no node claim anything of a hook for a while.
	Pause(ctx context.Context, hookID string, d time.Duration) error
	// Disable disables a hook and says why.
	Disable(ctx context.Context, hookID, problem string) error
}

// Definitions keeps the hooks.
type Definitions interface {
	// Hooks returns all hooks, by name.
	Hooks(ctx context.Context) ([]Hook, error)
	// Create stores a hook, from the start of the logs or from now on. It returns
	// [ErrExists] if there is one of this name.
	Create(ctx context.Context, h Hook, fromStart bool, entries ...audit.Entry) (Hook, error)
	// Change runs fn on a hook and stores what it changes, with the entries that fn returns.
	// It returns fault.ErrNotFound for none.
	Change(ctx context.Context, name string, fn func(h *Hook) ([]audit.Entry, error)) (Hook, error)
	// Delete removes a hook. It returns fault.ErrNotFound for none.
	Delete(ctx context.Context, name string, entries ...audit.Entry) error
}

// Status is how far a hook is in a group where something is left to be sent.
type Status struct {
	GroupID   string     `json:"groupId"`
	Presence  bool       `json:"presence,omitempty" doc:"true: changes of presence are left, not events"`
	Version   int64      `json:"version" doc:"version of the last event that the receiver has accepted; of presence, its n"`
	Head      int64      `json:"head" doc:"version of the group's last event; of presence, the largest n"`
	Lag       int64      `json:"lag" doc:"number of events or changes between the two; some may be of types that the hook is not sent"`
	State     string     `json:"state" enum:"waiting,sending,retrying,parked"`
	Since     *time.Time `json:"since,omitempty" doc:"since when there has been something to be sent"`
	Attempts  int        `json:"attempts" doc:"failed attempts since the last success"`
	NextAt    *time.Time `json:"nextAt,omitempty" doc:"when the next attempt is; absent if the group is parked"`
	ParkedAt  *time.Time `json:"parkedAt,omitempty"`
	LastReply int        `json:"lastStatus,omitempty" doc:"HTTP status of the last failed attempt; absent if there was no answer"`
	Problem   string     `json:"problem,omitempty" doc:"what was wrong with the last attempt"`

	Place Place `json:"-"`
}

// Place is a place in the order of [Replays.Groups].
type Place struct {
	Due      int64
	GroupID  string
	Presence bool
}

// ParsePlace returns the place that [Place.String] wrote, or the first one for "".
func ParsePlace(text string) (Place, error) {
	if text == "" {
		return Place{Due: math.MaxInt64, GroupID: "\U0010ffff"}, nil
	}
	due, groupID, _ := strings.Cut(text, " ")
	due, presence := strings.CutSuffix(due, placeOfPresence)
	at, err := strconv.ParseInt(due, 10, 64)
	if err != nil {
		return Place{}, fault.ErrBadRequest.WithMessage("this is no place in a list of groups: open the list again")
	}
	return Place{Due: at, GroupID: groupID, Presence: presence}, nil
}

const placeOfPresence = "p"

func (p Place) String() string {
	due := strconv.FormatInt(p.Due, 10)
	if p.Presence {
		due += placeOfPresence
	}
	return due + " " + p.GroupID
}

// Point is where a replay begins: after a version, or at an instant.
type Point struct {
	Version *int64
	At      time.Time // zero: the beginning
}

// Replays sets positions back.
type Replays interface {
	// Groups lists groups for which something is left to be sent: parked ones first, then
	// those whose next attempt is the latest. A group may be there twice: for its events, and
	// for presence.
	Groups(ctx context.Context, hookID string, before Place, limit int) ([]Status, error)
	// Rewind sets the position in a group back, and unparks it. It returns
	// fault.ErrNotFound for a group that does not exist.
	Rewind(ctx context.Context, hookID, groupID string, to Point, entries ...audit.Entry) error
	// RewindAll does so in all groups with events since to, in the background.
	RewindAll(ctx context.Context, hookID string, to Point, entries ...audit.Entry) error
	// Resume makes due at once what is parked or to be tried later, presence too: of one
	// group, or of all if groupID is empty.
	Resume(ctx context.Context, hookID, groupID string, entries ...audit.Entry) error
}

// Backlog is what is left to be sent for a hook.
type Backlog struct {
	Waiting int // groups, at most [BacklogBound]; those with events and presence count twice
	Parked  int // groups of these that are parked
	Oldest  time.Duration
}

// BacklogBound is how far a [Backlog] counts.
const BacklogBound = 10_000
