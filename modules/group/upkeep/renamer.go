package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

// RenameClaim is how long a claim on a job lasts after its last step. After that, any node
// may continue the job, because the node that claimed it may have died.
const RenameClaim = 10 * time.Second

// renameStep is the number of groups in one step.
const renameStep = 50

// Renames keeps the jobs that rename users. sqlstore.Store implements it.
type Renames interface {
	// NamedIn lists the groups that have a user's name, in a membership or a join request,
	// newest id first, before the given id. If before is empty, it begins with the newest.
	// It may list deleted groups.
	NamedIn(ctx context.Context, userID, before string, limit int) (groupIDs []string, err error)
	// ClaimRename returns a job that no node works on, and claims it. It returns nil if
	// there is none.
	ClaimRename(ctx context.Context) (*group.Rename, error)
	// AdvanceRename stores the progress of a job, and renews the claim. It returns false if
	// another job has replaced it.
	AdvanceRename(ctx context.Context, r group.Rename) (bool, error)
	// FinishRename removes a job, unless another one has replaced it.
	FinishRename(ctx context.Context, r group.Rename) error
}

// Renamer renames users, one after the other.
type Renamer struct {
	service *group.Service
	jobs    Renames
	log     *slog.Logger
	tasks   *tasks.Group
}

// NewRenamer returns a renamer for the jobs.
func NewRenamer(service *group.Service, jobs Renames, log *slog.Logger) *Renamer {
	return &Renamer{service: service, jobs: jobs, log: log, tasks: tasks.New()}
}

// Start begins to look for jobs, twice a second.
func (r *Renamer) Start(context.Context) error {
	r.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, lookEvery, nil, func() { r.look(ctx) })
	})
	return nil
}

// Stop stops it after the current group. Another node continues.
func (r *Renamer) Stop(ctx context.Context) error { return r.tasks.Stop(ctx) }

// look does all jobs that no node works on. A job that fails is tried again after its claim
// has expired.
func (r *Renamer) look(ctx context.Context) {
	for ctx.Err() == nil {
		job, err := r.jobs.ClaimRename(ctx)
		if err != nil {
			r.log.DebugContext(ctx, "group: cannot look for users to rename", "err", err)
		}
		if err != nil || job == nil {
			return
		}
		if err := r.do(ctx, *job); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "group: could not rename a user everywhere, and will try again", "user", job.UserID, "job", job.ID, "err", err)
		}
	}
}

// do does a job until it is done or another one replaces it.
func (r *Renamer) do(ctx context.Context, job group.Rename) error {
	for {
		next, err := r.Continue(ctx, job)
		if err != nil {
			return err
		}
		if next == nil {
			return r.jobs.FinishRename(ctx, job)
		}
		current, err := r.jobs.AdvanceRename(ctx, *next)
		if err != nil || !current {
			return err
		}
		job = *next
	}
}

// Continue does one step of a job. It returns the job for the next step, or nil if it is
// done. Repeating a step changes nothing.
func (r *Renamer) Continue(ctx context.Context, job group.Rename) (*group.Rename, error) {
	groups, err := r.jobs.NamedIn(ctx, job.UserID, job.Before, renameStep)
	if err != nil {
		return nil, err
	}
	for _, groupID := range groups {
		if err := r.service.RenameIn(ctx, groupID, job); err != nil {
			return nil, fmt.Errorf("rename %s in group %s: %w", job.UserID, groupID, err)
		}
		job.Before = groupID
	}
	if len(groups) == 0 {
		return nil, nil //nolint:nilnil // the contract's word for "done"
	}
	return &job, nil
}
