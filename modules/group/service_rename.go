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

// Rename is a job that gives a user a name in all their groups, and in their join
// requests. Nodes do it in steps, the newest group first. A user has one at a time.
type Rename struct {
	ID     string
	UserID string
	Name   string
	Actor  string // the back end that asked for it
	Before string // groups with a lower id are still to be done; empty: all
}

// Renames is the part of a [Repository] that takes these jobs.
type Renames interface {
	// SetRename stores a job, which replaces another one of the user, and with it the
	// audit entries. It returns the job's id: that of the job which is there already if it
	// has the same name; then it stores no entries.
	SetRename(ctx context.Context, r Rename, recorded ...audit.Entry) (id string, err error)
}

// RenameTx is the part of a [Tx] that knows these jobs.
type RenameTx interface {
	// Renaming returns a user's job, or nil.
	Renaming(ctx context.Context, userID string) (*Rename, error)
}

// RenameUser begins to give a user a name in all groups that they are in or asked to join,
// for a back end, and returns the id of the job. Another name replaces a job that is not done.
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
		if asks != nil { // which makes no event: its event has no name
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
		return nil // deleted meanwhile
	case err == nil && len(events) > 0:
		s.announcer.Announce(ctx, events)
	}
	return err
}
