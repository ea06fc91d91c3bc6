package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

const (
	// eraseStep bounds the events and the other rows that one step of an [Erasure] changes,
	// and leaveStep the groups that the user leaves in one.
	eraseStep = 200
	leaveStep = 50
	// eraseSettle is how long a job waits after the user has left their groups. By then all
	// nodes have told their subscribers so, and requests that the user sent before are over.
	eraseSettle = 10 * time.Second
	// eraseForget is how long a job waits before its last step. It is longer than nodes
	// answer from pages of a log that they read before.
	eraseForget = 3 * time.Second
)

// ErasureKept is for how long a job that is done can be read.
const ErasureKept = 90 * 24 * time.Hour

var errNoErasure = fault.ErrNotFound.WithMessage("there is no such job, or it was done long ago")

// EraseUser begins to erase a user, for a back end, and returns the job. While that is not
// done, it returns the same one. Until its stage is no longer [EraseMemberships], the user
// may still act: do what [Elsewhere.CutOff] does as of the job's start.
func (s *Service) EraseUser(ctx context.Context, caller auth.Identity, userID string) (Erasure, error) {
	if err := mayErase(caller, userID); err != nil {
		return Erasure{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Erasure{}, fmt.Errorf("make the id of a job: %w", err)
	}
	recorded, err := entries(ctx, caller, auditEraseUser, "", userID, map[string]any{"job": map[string]string{"jobId": id.String()}})
	if err != nil {
		return Erasure{}, err
	}
	jobID, err := s.repo.SetErasure(ctx, id.String(), userID, recorded...)
	if err != nil {
		return Erasure{}, err
	}
	return s.repo.Erasure(ctx, jobID)
}

// mayErase decides whether the caller may erase a user. A back end that erased itself would
// hide in the audit log who it was.
func mayErase(caller auth.Identity, userID string) error {
	if err := mayActFor(caller, userID, auth.WriteUsers); err != nil {
		return err
	}
	if userID == caller.UserID {
		return fault.Validation(fault.Field{Field: "userId", Message: "is the sub of your own token: a back end cannot erase itself"})
	}
	return nil
}

// Erasure returns a job, for a back end. It returns fault.ErrNotFound for none, and
// [ErasureKept] after it was done.
func (s *Service) Erasure(ctx context.Context, caller auth.Identity, jobID string) (Erasure, error) {
	if err := BackEndMay(caller, auth.WriteUsers); err != nil {
		return Erasure{}, err
	}
	job, err := s.repo.Erasure(ctx, jobID)
	if errors.Is(err, fault.ErrNotFound) {
		err = errNoErasure
	}
	return job, err
}

// ContinueErasure does one step of a job that is not done. It returns the job as it is to
// go on, and how long to wait before that. After the last step, which changes nothing,
// done is true, unless something of the user has come back meanwhile.
func (s *Service) ContinueErasure(ctx context.Context, job Erasure, out Elsewhere) (next Erasure, wait time.Duration, done bool, err error) {
	switch job.Stage {
	case EraseMemberships:
		next, wait, err = s.eraseMemberships(ctx, job, out)
	case EraseLogs:
		next, err = s.eraseLog(ctx, job)
	case EraseGroup:
		next, err = s.eraseGroup(ctx, job, out)
	case EraseReceipts:
		next, err = s.eraseReceipts(ctx, job)
	case EraseRest:
		next, wait, err = s.eraseRest(ctx, job, out)
	default:
		done, next = true, job.to(EraseMemberships)
	}
	return next, wait, done, err
}

// to returns the job at the beginning of a stage.
func (e Erasure) to(stage EraseStage) Erasure {
	e.Stage, e.Place, e.Version = stage, "", 0
	return e
}

// eraseMemberships ends some memberships and requests of the user. It needs no place:
// those that are left are the next ones.
func (s *Service) eraseMemberships(ctx context.Context, job Erasure, out Elsewhere) (Erasure, time.Duration, error) {
	if err := out.CutOff(ctx, job.UserID, job.StartedAt); err != nil {
		return job, 0, err
	}
	groups, err := s.repo.UserGroups(ctx, job.UserID, "", leaveStep)
	if err != nil {
		return job, 0, err
	}
	for _, g := range groups {
		if err := s.eraseMember(ctx, job, g.ID); err != nil {
			return job, 0, fmt.Errorf("erase a member of group %s: %w", g.ID, err)
		}
	}
	requests, err := s.repo.UserRequests(ctx, job.UserID, "", leaveStep)
	if err != nil {
		return job, 0, err
	}
	for _, r := range requests {
		if err := s.eraseRequest(ctx, job.UserID, r.GroupID); err != nil {
			return job, 0, fmt.Errorf("erase a request to group %s: %w", r.GroupID, err)
		}
	}
	if len(groups) == 0 && len(requests) == 0 {
		return job.to(EraseLogs), eraseSettle, nil
	}
	return job, 0, nil
}

// eraseLog does one step of the group in job.Place, or begins with another group.
func (s *Service) eraseLog(ctx context.Context, job Erasure) (Erasure, error) {
	if job.Place == "" {
		groupID, err := s.repo.TracedGroup(ctx, job.UserID)
		if err != nil {
			return job, err
		}
		if groupID == "" {
			return job.to(EraseReceipts), nil
		}
		job.Place, job.Version = groupID, 0
	}
	found, last, end, err := s.repo.EventsAbout(ctx, job.Place, job.UserID, job.Version, eraseStep)
	if err != nil {
		return job, err
	}
	if found > 0 {
		if err := s.repo.BlankEvents(ctx, job, job.Place, job.Version, last, blanker{job.UserID, s.instant()}.blank); err != nil {
			return job, fmt.Errorf("blank the log of group %s: %w", job.Place, err)
		}
	}
	job.Version = last
	if end {
		job.Stage = EraseGroup
	}
	return job, nil
}

// eraseGroup forgets the user in the group in job.Place.
func (s *Service) eraseGroup(ctx context.Context, job Erasure, out Elsewhere) (Erasure, error) {
	groupID := job.Place
	for more := true; more; {
		var err error
		if more, err = s.repo.ForgetActs(ctx, groupID, job.UserID, eraseStep); err != nil {
			return job, err
		}
	}
	out.EndPresence(groupID, job.UserID)
	gone, err := s.repo.ForgetIn(ctx, groupID, job.UserID, job.Version)
	if err != nil {
		return job, fmt.Errorf("forget a user in group %s: %w", groupID, err)
	}
	if gone {
		return job.to(EraseLogs), nil // with the next group
	}
	_, m, err := s.repo.Group(ctx, groupID, job.UserID)
	switch {
	case errors.Is(err, fault.ErrNotFound): // deleted meanwhile
	case err != nil:
		return job, err
	case m != nil: // they came back, or a back end added them
		return job.to(EraseMemberships), nil
	}
	job.Stage, job.Place = EraseLogs, groupID // there are newer events
	return job, nil
}

func (s *Service) eraseReceipts(ctx context.Context, job Erasure) (Erasure, error) {
	more, err := s.repo.ForgetReceipts(ctx, job.UserID, eraseStep)
	if err != nil || more {
		return job, err
	}
	return job.to(EraseRest), nil
}

func (s *Service) eraseRest(ctx context.Context, job Erasure, out Elsewhere) (Erasure, time.Duration, error) {
	for more := true; more; {
		var err error
		if more, err = s.repo.EraseOf(ctx, job.UserID, job.Pseudonym()); err != nil {
			return job, 0, err
		}
	}
	if err := s.repo.ForgetUser(ctx, job.UserID); err != nil {
		return job, 0, err
	}
	if err := out.Forget(ctx, job.UserID); err != nil {
		return job, 0, err
	}
	return job.to(EraseCheck), eraseForget, nil
}
