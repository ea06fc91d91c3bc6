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

// Lease is how long a claim lasts. After that, any node may take it over, because the node
// that made it may have died.
const Lease = 30 * time.Second

// Turn is the right to send the next delivery of a hook and a group. It ends with the
// claim: by Done, Failed, Release or the end of its time.
type Turn struct {
	HookID  string
	GroupID string
	Claim   int64
	Version int64 // the receiver has accepted events up to this one
	Upto    int64 // the delivery ends with this event, so a repeat has the same events
	Gap     bool  // events were removed before they were sent, and the hook has not been told

	Attempts    int        // failed attempts since the last success
	SeekAt      *time.Time // first move to the first event at this time or later
	SeekVersion *int64     // first move to the event after this one
}

// seeks reports whether the position has to move first.
func (t Turn) seeks() bool { return t.SeekAt != nil || t.SeekVersion != nil }

// Page is the part of the log for a turn.
type Page struct {
	Events []group.Event
	Upto   int64 // last event of the page: the turn's, or an earlier one if the events are large
	Gap    bool  // events after the turn's version are not in the log any more
	Gone   bool  // the group does not exist any more

	Presence []PresenceChange // for a turn of a [PresenceStore]; then only Upto is set, too
}

// Failure is a failed attempt.
type Failure struct {
	Status      int           // status of the answer; 0 if there was none
	Problem     string        // text for people
	Unreachable bool          // the receiver is the cause, not the group
	Retry       time.Duration // wait before the next attempt
}

// Positions keeps the position of each hook in each group. Methods that end a turn do
// nothing if its claim has ended. It is safe for concurrent use, also by several nodes.
type Positions interface {
	// Claim claims at most limit groups with something to send, those that wait longest
	// first. early also claims groups that failed and whose next attempt is not due yet. It
	// claims none while the hook is disabled or paused.
	Claim(ctx context.Context, hookID string, limit int, early bool) ([]Turn, error)
	// Seek moves the position as the turn requires, and returns the turn there. It returns
	// false if the requirement has changed or the claim has ended.
	Seek(ctx context.Context, t Turn) (Turn, bool, error)
	// Read reads what the turn must send.
	Read(ctx context.Context, t Turn) (Page, error)
	// Narrow makes the turn's delivery end with an earlier event. It returns false if the
	// claim has ended.
	Narrow(ctx context.Context, t Turn, upto int64) (bool, error)
	// Revive makes at most limit groups due at once that failed because the receiver did
	// not answer. It returns their number.
	Revive(ctx context.Context, hookID string, limit int) (int, error)
	Ends
}

// Ends are the ways to end a turn.
type Ends interface {
	// Done records that the receiver accepted the events up to upto, with status, and
	// whether there is a gap that the hook was not told of. If goOn is set and there is
	// more to send, it returns the next turn of the same claim, which then lasts for
	// another [Lease].
	Done(ctx context.Context, t Turn, upto int64, status int, gap, goOn bool) (*Turn, error)
	// Failed records a failed attempt. The group is parked if it has failed for [Patience].
	Failed(ctx context.Context, t Turn, f Failure) (parked bool, err error)
	// Release ends the claim. The turn may be claimed again at once.
	Release(ctx context.Context, t Turn) error
	// Drop removes the position in a group that no longer exists.
	Drop(ctx context.Context, t Turn) error
}

// Spreader makes groups due for hooks.
type Spreader interface {
	// Spread takes at most limit marks that events left on their groups, and makes these
	// groups due for every hook. It returns the number of marks.
	Spread(ctx context.Context, limit int) (taken int, err error)
	// Sweep does a part of the work on all groups: replays, and removing the positions of
	// deleted hooks. It reports whether there is more.
	Sweep(ctx context.Context) (more bool, err error)
	// Pause stops all nodes from claiming groups of a hook for a while.
	Pause(ctx context.Context, hookID string, d time.Duration) error
	// Disable disables a hook and records why.
	Disable(ctx context.Context, hookID, problem string) error
}

// Definitions keeps the hooks.
type Definitions interface {
	// Hooks returns all hooks, by name.
	Hooks(ctx context.Context) ([]Hook, error)
	// Create stores a hook. It starts at the beginning of the logs if fromStart is set, and
	// otherwise now. It returns [ErrExists] if there is one of this name.
	Create(ctx context.Context, h Hook, fromStart bool, entries ...audit.Entry) (Hook, error)
	// Change runs fn on a hook and stores the changed hook, with the entries that fn
	// returns. It returns fault.ErrNotFound if there is no such hook.
	Change(ctx context.Context, name string, fn func(h *Hook) ([]audit.Entry, error)) (Hook, error)
	// Delete removes a hook. It returns fault.ErrNotFound if there is no such hook.
	Delete(ctx context.Context, name string, entries ...audit.Entry) error
}

// Status is the position of a hook in a group with a backlog.
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

// Place is a position in the order of [Replays.Groups].
type Place struct {
	Due      int64
	GroupID  string
	Presence bool
}

// ParsePlace parses the result of [Place.String]. For "" it returns the first place.
func ParsePlace(text string) (Place, error) {
	if text == "" {
		return Place{Due: math.MaxInt64, GroupID: "\U0010ffff"}, nil
	}
	due, groupID, _ := strings.Cut(text, " ")
	due, presence := strings.CutSuffix(due, placeOfPresence)
	at, err := strconv.ParseInt(due, 10, 64)
	if err != nil {
		return Place{}, fault.ErrBadRequest.WithMessage("this is not a valid place in a list of groups: open the list again")
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

// Point is where a replay begins: after a version, or at a time.
type Point struct {
	Version *int64
	At      time.Time // zero: the beginning
}

// Replays moves positions back.
type Replays interface {
	// Groups lists groups with a backlog: parked ones first, then the others, those with
	// the latest next attempt first. A group is listed twice if it has both events and
	// presence to send.
	Groups(ctx context.Context, hookID string, before Place, limit int) ([]Status, error)
	// Rewind moves the position in a group back, and unparks the group. It returns
	// fault.ErrNotFound if the group does not exist.
	Rewind(ctx context.Context, hookID, groupID string, to Point, entries ...audit.Entry) error
	// RewindAll does the same in the background, for all groups with events since to.
	RewindAll(ctx context.Context, hookID string, to Point, entries ...audit.Entry) error
	// Resume makes groups due at once that are parked or wait for the next attempt, also
	// for presence: one group, or all if groupID is empty.
	Resume(ctx context.Context, hookID, groupID string, entries ...audit.Entry) error
}

// Backlog is the number of groups with something left to send to a hook.
type Backlog struct {
	Waiting int // at most [BacklogBound]; groups with events and presence count twice
	Parked  int // parked groups among these
	Oldest  time.Duration
}

// BacklogBound is the number up to which a [Backlog] counts.
const BacklogBound = 10_000
