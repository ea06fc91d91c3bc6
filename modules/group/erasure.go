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

// Erasures is the part of a [Repository] that takes these jobs.
type Erasures interface {
	// SetErasure stores a job, and with it the audit entries, unless the user has a job that
	// is not done. It returns the id of theirs.
	SetErasure(ctx context.Context, id, userID string, recorded ...audit.Entry) (jobID string, err error)
	// Erasure returns a job, also one that is done; fault.ErrNotFound for none.
	Erasure(ctx context.Context, id string) (Erasure, error)
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
