package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/audit"
)

// Erasure is a job that erases a user: it ends their memberships, and then removes their
// id, name and text from everything that is kept. Nodes do it in steps. A user has at most
// one at a time.
type Erasure struct {
	ID     string
	UserID string // empty once the job is done
	Stage  EraseStage
	Place  string // progress within the stage: a group
	// Version is the version up to which the log of the group in Place is blanked.
	Version    int64
	StartedAt  time.Time // by the store's clock
	FinishedAt *time.Time
	Erased     Erased
}

// Pseudonym is the text that replaces the user's id in the audit log.
func (e Erasure) Pseudonym() string { return "erased:" + e.ID }

// EraseStage is the next work of a job.
type EraseStage int

// The stages, in order. A job that finds more data of the user returns to an earlier stage.
const (
	EraseMemberships EraseStage = iota // leave all groups, and withdraw all requests
	EraseLogs                          // blank the log of a group
	EraseGroup                         // remove the user from that group, and return to EraseLogs
	EraseReceipts                      // remove answers that name the user
	EraseRest                          // remove what is kept outside of groups
	EraseCheck                         // check that nothing is left
)

// Erased counts the work that a job has done.
type Erased struct {
	GroupsLeft       int64 `json:"groupsLeft" doc:"groups that the user was a member of"`
	GroupsHandedOver int64 `json:"groupsHandedOver" doc:"groups that the user owned, and that another member owns now"`
	GroupsEnded      int64 `json:"groupsEnded" doc:"groups that the user owned, and that ended because they had no other member"`
	MessagesBlanked  int64 `json:"messagesBlanked" doc:"messages that lost their text"`
	EventsBlanked    int64 `json:"eventsBlanked" doc:"events that lost the user's id, name or text, the messages included"`
}

// Erasures is the part of a [Repository] that takes these jobs.
type Erasures interface {
	// SetErasure stores a job and the audit entries. If the user has an unfinished job, it
	// changes nothing and returns the id of that job.
	SetErasure(ctx context.Context, id, userID string, recorded ...audit.Entry) (jobID string, err error)
	// Erasure returns a job, even if it is done, or fault.ErrNotFound.
	Erasure(ctx context.Context, id string) (Erasure, error)
}

// Blank returns the new data of an event, or nil for no change. It may also replace other
// events in tx.
type Blank func(ctx context.Context, tx EventTx, e Event) (data []byte, err error)

// ErasureTx is the part of a [Tx] that erases a member.
type ErasureTx interface {
	// Heir returns the next owner after a member: the admin who joined first, or else the
	// member who joined first. It returns "" if there is no other member.
	Heir(ctx context.Context, userID string) (string, error)
	// CountErased adds to the counts of a job.
	CountErased(ctx context.Context, jobID string, e Erased) error
}
