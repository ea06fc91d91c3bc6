package group

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// Rename is a job that sets a user's name in all their groups and join requests. Nodes do
// it in steps, beginning with the newest group. A user has at most one at a time.
type Rename struct {
	ID     string
	UserID string
	Name   string
	Actor  string // the back end that asked for it
	Before string // groups with a lower id are not done yet; empty if none is done
}

// Renames is the part of a [Repository] that stores these jobs.
type Renames interface {
	// SetRename stores a job and the audit entries, and replaces an earlier job of the
	// user. It returns the job's id. If the user has a job with the same name, it stores
	// nothing and returns that job's id.
	SetRename(ctx context.Context, r Rename, recorded ...audit.Entry) (id string, err error)
}

// RenameTx is the part of a [Tx] that reads these jobs.
type RenameTx interface {
	// Renaming returns a user's job, or nil.
	Renaming(ctx context.Context, userID string) (*Rename, error)
}

// RenameUser begins to set a user's name in all groups that they are in or asked to join,
// for a back end. It returns the id of the job. A new job replaces an unfinished one.
func (s *Service) RenameUser(ctx context.Context, caller auth.Identity, userID string, req dto.RenameRequest) (jobID string, err error) {
	if err := mayActFor(caller, userID, auth.WriteUsers); err != nil {
		return "", err
	}
	if req, err = req.Validate(); err != nil {
		return "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make the id of a job: %w", err)
	}
	recorded, err := entries(ctx, caller, auditRenameUser, "", userID, map[string]any{"user": named{req.Name}})
	if err != nil {
		return "", err
	}
	return s.repo.SetRename(ctx, Rename{ID: id.String(), UserID: userID, Name: req.Name, Actor: caller.UserID}, recorded...)
}

// RenameIn gives the user the name in one group, for a job. It asks for the job again, because
// another one may have replaced it.
func (s *Service) RenameIn(ctx context.Context, groupID string, job Rename) error {
	events, err := s.repo.Change(ctx, groupID, job.UserID, func(tx Tx) error {
		known, err := tx.Outsiders(ctx, job.UserID)
		if err != nil {
			return err
		}
		m, err := tx.Member(ctx, job.UserID)
		if err != nil {
			return err
		}
		asks := known[job.UserID].Applicant
		if (m == nil || m.Name == job.Name) && (asks == nil || asks.Name == job.Name) {
			return nil
		}
		current, err := tx.Renaming(ctx, job.UserID)
		if err != nil || current == nil || current.ID != job.ID {
			return err
		}
		if asks != nil { // no event, because events about requests have no name
			return tx.SetApplicant(ctx, Applicant{UserID: asks.UserID, Name: job.Name, At: asks.At})
		}
		m.Name = job.Name
		if err := tx.SetMember(ctx, *m); err != nil {
			return err
		}
		_, err = tx.Append(ctx, MemberUpdated, job.Actor, *m)
		return err
	})
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return nil // the group was deleted meanwhile
	case err == nil && len(events) > 0:
		s.announcer.Announce(ctx, events)
	}
	return err
}
