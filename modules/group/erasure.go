package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/audit"
)

// Erasure is a job that erases a user: it ends their memberships, and then removes their
// id, name and text from everything that is kept. Nodes do it in steps. A user has one at a
// time.
type Erasure struct {
	ID     string
	UserID string // empty when the job is done
	Stage  EraseStage
	Place  string // how far the stage is: a group
	// Version is how far the log of the group in Place is blanked.
	Version    int64
	StartedAt  time.Time // by the store's clock
	FinishedAt *time.Time
	Erased     Erased
}

// Pseudonym is what the audit log has in place of the user's id.
func (e Erasure) Pseudonym() string { return "erased:" + e.ID }

// EraseStage says what a job does next.
type EraseStage int

// The stages, in their order. A job that finds more of the user returns to an earlier one.
const (
	EraseMemberships EraseStage = iota // leave all groups, and withdraw all requests
	EraseLogs                          // blank the log of a group
	EraseGroup                         // forget the user in that group, and return to EraseLogs
	EraseReceipts                      // remove answers that name the user
	EraseRest                          // remove what is kept outside of groups
	EraseCheck                         // nothing may be left
)

// Erased counts what a job has done.
type Erased struct {
	GroupsLeft       int64 `json:"groupsLeft" doc:"groups that the user was a member of"`
	GroupsHandedOver int64 `json:"groupsHandedOver" doc:"groups that the user owned, and that another member owns now"`
	GroupsEnded      int64 `json:"groupsEnded" doc:"groups that the user owned, and that ended because they had no other member"`
	MessagesBlanked  int64 `json:"messagesBlanked" doc:"messages that lost their text"`
	EventsBlanked    int64 `json:"eventsBlanked" doc:"events that lost the user's id, name or text, the messages included"`
}

// Erasures is the part of a [Repository] that keeps these jobs and does their steps. Each
// call takes one short transaction. A call that was done before changes nothing.
type Erasures interface {
	// SetErasure stores a job, and with it the audit entries, unless the user has a job that
	// is not done. It returns the id of theirs.
	SetErasure(ctx context.Context, id, userID string, recorded ...audit.Entry) (jobID string, err error)
	// Erasure returns a job, also one that is done; fault.ErrNotFound for none.
	Erasure(ctx context.Context, id string) (Erasure, error)
	// TracedGroup returns a group, deleted or not, that still keeps something about a
	// user; empty: there is none.
	TracedGroup(ctx context.Context, userID string) (groupID string, err error)
	// EventsAbout looks at the next events of a log after a version. It counts those that
	// the user caused, or that may name them, to limit, and returns how far it looked and
	// whether that was the end of the log.
	EventsAbout(ctx context.Context, groupID, userID string, after int64, limit int) (found int, last int64, end bool, err error)
	// BlankEvents replaces these events, of those after a version up to another one,
	// without their actor if that is the user. It holds the group's row meanwhile, and
	// counts for the job what it replaced.
	BlankEvents(ctx context.Context, job Erasure, groupID string, after, last int64, blank Blank) error
	// ForgetIn removes what a group keeps about a user beside its log, which has been
	// blanked up to a version. It does nothing and reports false if newer events are about
	// the user, or if they are a member of a group that is not deleted.
	ForgetIn(ctx context.Context, groupID, userID string, version int64) (done bool, err error)
	// ForgetActs removes a user from the bans, mutes, invites and invitations that they
	// made in a group, at most limit of each. It reports whether there may be more.
	ForgetActs(ctx context.Context, groupID, userID string, limit int) (more bool, err error)
	// ForgetReceipts removes at most limit receipts of a user, and empties at most limit
	// answers of others that name the user. It reports whether there may be more.
	ForgetReceipts(ctx context.Context, userID string, limit int) (more bool, err error)
	// EraseOf replaces a user by a pseudonym in some of the audit entries about them, of their
	// calls, or that name them. It reports whether there may be more.
	EraseOf(ctx context.Context, userID, pseudonym string) (more bool, err error)
	// ForgetUser removes what is kept about a user outside of groups.
	ForgetUser(ctx context.Context, userID string) error
}

// Blank returns the data that an event gets, nil for no change. It may replace other events
// in tx, too.
type Blank func(ctx context.Context, tx EventTx, e Event) (data []byte, err error)

// ErasureTx is the part of a [Tx] that erases a member.
type ErasureTx interface {
	// Heir returns who owns the group after a member: the admin who joined first, or else
	// the member who did; empty: there is no other member.
	Heir(ctx context.Context, userID string) (string, error)
	// CountErased adds to what a job has done.
	CountErased(ctx context.Context, jobID string, e Erased) error
}

// Elsewhere is what keeps users outside of the database. Its methods may be called again.
type Elsewhere interface {
	// CutOff refuses the tokens of a user that were issued before an instant, and closes
	// the user's sockets.
	CutOff(ctx context.Context, userID string, before time.Time) error
	// EndPresence ends the presence of a user in a group.
	EndPresence(groupID, userID string)
	// Forget removes what is left of the user. Their tokens stay refused.
	Forget(ctx context.Context, userID string) error
}
