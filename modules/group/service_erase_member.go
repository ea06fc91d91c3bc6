package group

import (
	"context"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// nobody is the actor of events that are caused by an erasure.
var nobody auth.Identity

// leftForever is the data of member.left when a member is erased. The id is removed from
// the log soon after.
type leftForever struct {
	UserID string `json:"userId"`
	Erased bool   `json:"erased"`
}

// leaveStep bounds the groups that a user leaves at a time.
const leaveStep = 50

// EraseMemberships ends some memberships and requests of the user of a job, and reports
// whether there may be more. Those that are left are the next ones.
func (s *Service) EraseMemberships(ctx context.Context, job Erasure) (more bool, err error) {
	groups, err := s.repo.UserGroups(ctx, job.UserID, "", leaveStep)
	if err != nil {
		return false, err
	}
	for _, g := range groups {
		if err := s.eraseMember(ctx, job, g.ID); err != nil {
			return false, fmt.Errorf("erase a member of group %s: %w", g.ID, err)
		}
	}
	requests, err := s.repo.UserRequests(ctx, job.UserID, "", leaveStep)
	if err != nil {
		return false, err
	}
	for _, r := range requests {
		if err := s.eraseRequest(ctx, job.UserID, r.GroupID); err != nil {
			return false, fmt.Errorf("erase a request to group %s: %w", r.GroupID, err)
		}
	}
	return len(groups)+len(requests) > 0, nil
}

// eraseMember ends the membership of the job's user in a group. If the user owns the group,
// it goes to the heir, or ends if there is none.
func (s *Service) eraseMember(ctx context.Context, job Erasure, groupID string) error {
	return s.eraseIn(ctx, job.UserID, groupID, func(tx Tx) error {
		m, err := tx.Member(ctx, job.UserID)
		if err != nil || m == nil {
			return err
		}
		done := Erased{GroupsLeft: 1}
		if m.Role == Owner {
			heir, err := tx.Heir(ctx, m.UserID)
			if err != nil {
				return err
			}
			if heir != "" {
				err, done.GroupsHandedOver = s.handOver(ctx, tx, nobody, heir), 1
			} else {
				err, done.GroupsEnded = s.abandon(ctx, tx), 1
			}
			if err != nil {
				return err
			}
		}
		if err := revokeInvitesOf(ctx, tx, nobody, m.UserID); err != nil {
			return err
		}
		if err := tx.RemoveMember(ctx, m.UserID); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, MemberLeft, "", leftForever{UserID: m.UserID, Erased: true}); err != nil {
			return err
		}
		return tx.CountErased(ctx, job.ID, done)
	})
}

// abandon removes the owner of a group and ends the group.
func (s *Service) abandon(ctx context.Context, tx Tx) error {
	if err := s.handOver(ctx, tx, nobody, ""); err != nil {
		return err
	}
	if tx.Group().EndedAt != nil {
		return nil
	}
	return s.end(ctx, tx)
}

// eraseRequest withdraws a user's request to join a group.
func (s *Service) eraseRequest(ctx context.Context, userID, groupID string) error {
	return s.eraseIn(ctx, userID, groupID, func(tx Tx) error {
		known, err := tx.Outsiders(ctx, userID)
		if err != nil || known[userID].Applicant == nil {
			return err
		}
		if err := tx.RemoveApplicant(ctx, userID); err != nil {
			return err
		}
		_, err = tx.Append(ctx, RequestWithdrawn, "", subject{UserID: userID})
		return err
	})
}

// eraseIn changes a group. It does nothing if the group is deleted.
func (s *Service) eraseIn(ctx context.Context, userID, groupID string, fn func(tx Tx) error) error {
	events, err := s.repo.Change(ctx, groupID, userID, fn)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return nil
	case err == nil && len(events) > 0:
		s.announcer.Announce(ctx, events)
	}
	return err
}
