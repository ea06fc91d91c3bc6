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

// ErasureKept is how long a finished job can be read.
const ErasureKept = 90 * 24 * time.Hour

var errNoErasure = fault.ErrNotFound.WithMessage("there is no such job, or it was done long ago")

// EraseUser begins to erase a user, for a back end, and returns the job. While that is not
// done, it returns the same one. Until its stage is no longer [EraseMemberships], the user
// may still act: do what [upkeep.Elsewhere.CutOff] does as of the job's start.
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

// mayErase decides whether the caller may erase a user. A back end may not erase itself,
// because this would hide its identity in the audit log.
func mayErase(caller auth.Identity, userID string) error {
	if err := mayActFor(caller, userID, auth.WriteUsers); err != nil {
		return err
	}
	if userID == caller.UserID {
		return fault.Validation(fault.Field{Field: "userId", Message: "is the sub of your own token: a back end cannot erase itself"})
	}
	return nil
}

// Erasure returns a job, for a back end. It returns fault.ErrNotFound if there is none, and
// once [ErasureKept] has passed since its end.
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
