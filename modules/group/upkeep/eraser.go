package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

// EraseClaim is how long a claim on a job lasts after its last step. After that, any node
// may continue the job, because the node that claimed it may have died.
const EraseClaim = 10 * time.Second

// Erasures keeps the jobs that erase users, and does their steps. sqlstore.Store implements it.
// Each call takes one short transaction. A call that was done before changes nothing.
type Erasures interface {
	// ClaimErasure returns an unfinished job that no node works on, and claims it. It
	// returns nil if there is none.
	ClaimErasure(ctx context.Context) (*group.Erasure, error)
	// AdvanceErasure stores the progress of a job, and claims it for a while.
	AdvanceErasure(ctx context.Context, e group.Erasure, wait time.Duration) error
	// FinishErasure ends a job and removes the user's id from it. If a group still has
	// something about the user, it does nothing and returns false.
	FinishErasure(ctx context.Context, e group.Erasure) (bool, error)
	// TracedGroup returns a group, deleted or not, that still keeps something about a user.
	// It returns an empty id if there is none.
	TracedGroup(ctx context.Context, userID string) (groupID string, err error)
	// EventsAbout examines the events of a log after a version. It counts, up to limit,
	// those that the user caused or that may name the user. It returns the last examined
	// version, and whether that is the end of the log.
	EventsAbout(ctx context.Context, groupID, userID string, after int64, limit int) (found int, last int64, end bool, err error)
	// BlankEvents calls blank for the events counted by EventsAbout, after a version up to
	// another one, and stores the results. It also removes the user as actor. It holds the
	// lock on the group's row, and adds the number of events to the job's counts.
	BlankEvents(ctx context.Context, job group.Erasure, groupID string, after, last int64, blank group.Blank) error
	// ForgetIn removes what a group keeps about a user outside of its log, which is blanked
	// up to version. If newer events are about the user, or the user is a member of a group
	// that is not deleted, it does nothing and returns false.
	ForgetIn(ctx context.Context, groupID, userID string, version int64) (done bool, err error)
	// ForgetActs removes a user from the bans, mutes, invites and invitations that they
	// made in a group, at most limit of each. It reports whether there may be more.
	ForgetActs(ctx context.Context, groupID, userID string, limit int) (more bool, err error)
	// ForgetReceipts removes at most limit receipts of a user, and empties at most limit
	// other users' answers that name the user. It reports whether there may be more.
	ForgetReceipts(ctx context.Context, userID string, limit int) (more bool, err error)
	// EraseOf replaces a user by a pseudonym in some of the audit entries that are about
	// the user, by the user, or name the user. It reports whether there may be more.
	EraseOf(ctx context.Context, userID, pseudonym string) (more bool, err error)
	// ForgetUser removes what is kept about a user outside of groups.
	ForgetUser(ctx context.Context, userID string) error
	// Group is the method of [group.Records].
	Group(ctx context.Context, groupID, userID string) (group.Group, *group.Member, error)
}

// Eraser erases users, one after the other.
type Eraser struct {
	service *group.Service
	jobs    Erasures
	out     Elsewhere
	log     *slog.Logger
	tasks   *tasks.Group
}

// NewEraser returns an eraser for the jobs.
func NewEraser(service *group.Service, jobs Erasures, out Elsewhere, log *slog.Logger) *Eraser {
	return &Eraser{service: service, jobs: jobs, out: out, log: log, tasks: tasks.New()}
}

// Start begins to look for jobs, twice a second.
func (e *Eraser) Start(context.Context) error {
	e.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, lookEvery, nil, func() { e.look(ctx) })
	})
	return nil
}

// Stop stops it after the current statement. Another node continues.
func (e *Eraser) Stop(ctx context.Context) error { return e.tasks.Stop(ctx) }

// look does all jobs that no node works on. A job that fails is tried again after its claim
// has expired. The log does not name the user.
func (e *Eraser) look(ctx context.Context) {
	for ctx.Err() == nil {
		job, err := e.jobs.ClaimErasure(ctx)
		if err != nil {
			e.log.DebugContext(ctx, "group: cannot look for users to erase", "err", err)
		}
		if err != nil || job == nil {
			return
		}
		e.log.InfoContext(ctx, "group: erasing a user", "job", job.ID)
		if err := e.do(ctx, *job); err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, "group: could not erase a user, and will try again", "job", job.ID, "err", without(job.UserID, err))
		}
	}
}

// do does a job until it is done or has to wait.
func (e *Eraser) do(ctx context.Context, job group.Erasure) error {
	for {
		next, wait, done, err := e.Continue(ctx, job)
		if err == nil && done {
			if done, err = e.jobs.FinishErasure(ctx, job); done {
				e.log.InfoContext(ctx, "group: erased a user", "job", job.ID)
				return nil
			}
		}
		if err != nil {
			return err
		}
		claim := EraseClaim
		if wait > 0 {
			claim = wait // after that, any node may continue
		}
		if err := e.jobs.AdvanceErasure(ctx, next, claim); err != nil || wait > 0 {
			return err
		}
		job = next
	}
}

// without returns an error's text without the user's id.
func without(userID string, err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), userID, "the user"))
}
