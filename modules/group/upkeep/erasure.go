package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	// eraseStep is the maximum number of events or other rows that one step changes.
	eraseStep = 200
	// eraseSettle is how long a job waits after the user has left their groups. By then all
	// nodes have told their subscribers, and the user's earlier requests have ended.
	eraseSettle = 10 * time.Second
	// eraseForget is how long a job waits before its last step. It is longer than nodes use
	// pages of a log that they read before.
	eraseForget = 3 * time.Second
)

// Elsewhere erases users outside of the database. Its methods may be repeated.
type Elsewhere interface {
	// CutOff refuses the tokens of a user that were issued before a time, and closes the
	// user's sockets.
	CutOff(ctx context.Context, userID string, before time.Time) error
	// EndPresence ends the presence of a user in a group.
	EndPresence(groupID, userID string)
	// Forget removes the remaining data about the user. Their tokens stay refused.
	Forget(ctx context.Context, userID string) error
}

// Continue does one step of an unfinished job. It returns the job for the next step, and
// how long to wait before that. done is true after the last step, which only checks that
// nothing is left.
func (e *Eraser) Continue(ctx context.Context, job group.Erasure) (next group.Erasure, wait time.Duration, done bool, err error) {
	switch job.Stage {
	case group.EraseMemberships:
		next, wait, err = e.endMemberships(ctx, job)
	case group.EraseLogs:
		next, err = e.blankLog(ctx, job)
	case group.EraseGroup:
		next, err = e.forgetIn(ctx, job)
	case group.EraseReceipts:
		next, err = e.forgetReceipts(ctx, job)
	case group.EraseRest:
		next, wait, err = e.forgetRest(ctx, job)
	default:
		done, next = true, at(job, group.EraseMemberships)
	}
	return next, wait, done, err
}

// at returns a job at the beginning of a stage.
func at(job group.Erasure, stage group.EraseStage) group.Erasure {
	job.Stage, job.Place, job.Version = stage, "", 0
	return job
}

func (e *Eraser) endMemberships(ctx context.Context, job group.Erasure) (group.Erasure, time.Duration, error) {
	if err := e.out.CutOff(ctx, job.UserID, job.StartedAt); err != nil {
		return job, 0, err
	}
	more, err := e.service.EraseMemberships(ctx, job)
	if err != nil || more {
		return job, 0, err
	}
	return at(job, group.EraseLogs), eraseSettle, nil
}

// blankLog does one step in the log of the group in job.Place, or begins with another
// group.
func (e *Eraser) blankLog(ctx context.Context, job group.Erasure) (group.Erasure, error) {
	if job.Place == "" {
		groupID, err := e.jobs.TracedGroup(ctx, job.UserID)
		if err != nil {
			return job, err
		}
		if groupID == "" {
			return at(job, group.EraseReceipts), nil
		}
		job.Place, job.Version = groupID, 0
	}
	found, last, end, err := e.jobs.EventsAbout(ctx, job.Place, job.UserID, job.Version, eraseStep)
	if err != nil {
		return job, err
	}
	if found > 0 {
		if err := e.jobs.BlankEvents(ctx, job, job.Place, job.Version, last, e.service.Blank(job.UserID)); err != nil {
			return job, fmt.Errorf("blank the log of group %s: %w", job.Place, err)
		}
	}
	job.Version = last
	if end {
		job.Stage = group.EraseGroup
	}
	return job, nil
}

// forgetIn removes the user from the group in job.Place.
func (e *Eraser) forgetIn(ctx context.Context, job group.Erasure) (group.Erasure, error) {
	groupID := job.Place
	for more := true; more; {
		var err error
		if more, err = e.jobs.ForgetActs(ctx, groupID, job.UserID, eraseStep); err != nil {
			return job, err
		}
	}
	e.out.EndPresence(groupID, job.UserID)
	gone, err := e.jobs.ForgetIn(ctx, groupID, job.UserID, job.Version)
	if err != nil {
		return job, fmt.Errorf("forget a user in group %s: %w", groupID, err)
	}
	if gone {
		return at(job, group.EraseLogs), nil // continue with the next group
	}
	_, m, err := e.jobs.Group(ctx, groupID, job.UserID)
	switch {
	case errors.Is(err, fault.ErrNotFound): // the group was deleted meanwhile
	case err != nil:
		return job, err
	case m != nil: // the user came back, or a back end added them
		return at(job, group.EraseMemberships), nil
	}
	job.Stage = group.EraseLogs // the log has newer events
	return job, nil
}

func (e *Eraser) forgetReceipts(ctx context.Context, job group.Erasure) (group.Erasure, error) {
	more, err := e.jobs.ForgetReceipts(ctx, job.UserID, eraseStep)
	if err != nil || more {
		return job, err
	}
	return at(job, group.EraseRest), nil
}

func (e *Eraser) forgetRest(ctx context.Context, job group.Erasure) (group.Erasure, time.Duration, error) {
	for more := true; more; {
		var err error
		if more, err = e.jobs.EraseOf(ctx, job.UserID, job.Pseudonym()); err != nil {
			return job, 0, err
		}
	}
	if err := e.jobs.ForgetUser(ctx, job.UserID); err != nil {
		return job, 0, err
	}
	if err := e.out.Forget(ctx, job.UserID); err != nil {
		return job, 0, err
	}
	return at(job, group.EraseCheck), eraseForget, nil
}
