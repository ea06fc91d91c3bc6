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

// EraseClaim is how long a node that claimed a job keeps others from it, from its last
// step. After that, any node goes on: the first one may have died.
const EraseClaim = 10 * time.Second

// Erasures keeps the jobs that erase users. sqlstore.Store fulfils it.
type Erasures interface {
	// ClaimErasure returns a job that is not done and that no node works on, and claims
	// it. It returns nil if there is none.
	ClaimErasure(ctx context.Context) (*group.Erasure, error)
	// AdvanceErasure stores how far a job is, and claims it for a while.
	AdvanceErasure(ctx context.Context, e group.Erasure, wait time.Duration) error
	// FinishErasure ends a job and removes the user's id from it. It does nothing and
	// reports false if something of the user is left in a group.
	FinishErasure(ctx context.Context, e group.Erasure) (bool, error)
}

// Eraser erases users, one after the other.
type Eraser struct {
	service *group.Service
	jobs    Erasures
	out     group.Elsewhere
	log     *slog.Logger
	tasks   *tasks.Group
}

// NewEraser returns an eraser that does the jobs.
func NewEraser(service *group.Service, jobs Erasures, out group.Elsewhere, log *slog.Logger) *Eraser {
	return &Eraser{service: service, jobs: jobs, out: out, log: log, tasks: tasks.New()}
}

// Start begins to look for jobs, twice a second.
func (e *Eraser) Start(context.Context) error {
	e.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, lookEvery, nil, func() { e.look(ctx) })
	})
	return nil
}

// Stop ends it after the current statement. Another node goes on.
func (e *Eraser) Stop(ctx context.Context) error { return e.tasks.Stop(ctx) }

// look does all jobs that nobody works on. A job that fails is tried again once its
// claim is over. What it logs names no user.
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

// do does a job to its end, or until it has to wait.
func (e *Eraser) do(ctx context.Context, job group.Erasure) error {
	for {
		next, wait, done, err := e.service.ContinueErasure(ctx, job, e.out)
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
			claim = wait // then any node goes on
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
