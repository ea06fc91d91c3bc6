package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// StatusRequested is what [Joined] says to who has to wait.
const StatusRequested = "requested"

// Joined answers [Service.Join]: the Member, or a status where someone has to
// approve them first. As JSON it is the one or the other.
type Joined struct {
	*Member
	Status string `json:"status,omitempty"` // requested, or empty
}

// Requested reports whether the caller is no member yet.
func (j Joined) Requested() bool { return j.Status == StatusRequested }

// ask notes the caller's wish to become a member, unless it is noted already.
func (s *Service) ask(ctx context.Context, tx Tx, caller auth.Identity, o Outsider) (Joined, error) {
	asked := Joined{Status: StatusRequested}
	if o.Applicant != nil {
		return asked, nil
	}
	if err := tx.SetApplicant(ctx, Applicant{UserID: caller.UserID, Name: caller.Name, At: s.instant()}); err != nil {
		return Joined{}, err
	}
	_, err := tx.Append(ctx, RequestCreated, caller.UserID, subject{UserID: caller.UserID})
	return asked, err
}

// Applicants lists at most limit users who asked to become members by user id,
// after the given one. There are more when it returns limit.
func (s *Service) Applicants(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]Applicant, error) {
	if _, _, err := s.look(ctx, actRequests, caller, groupID); err != nil {
		return nil, err
	}
	applicants, err := s.repo.Applicants(ctx, groupID, after, limit)
	return applicants, Hide(err)
}

// Approve makes who asked for it a member. One who is a member already stays
// as they are. It returns fault.ErrNotFound when the user did not ask, ErrGroupFull
// or ErrLimitReached.
func (s *Service) Approve(ctx context.Context, caller auth.Identity, groupID, userID string) (Member, error) {
	var joined Member
	err := s.change(ctx, actRequests, caller, groupID, asked{what: "approve " + userID, answer: &joined}, func(tx Tx, _ *Member) error {
		m, err := tx.Member(ctx, userID)
		if err != nil {
			return err
		}
		if m != nil {
			joined = *m
			return nil
		}
		o, err := applicant(ctx, tx, userID)
		if err != nil {
			return err
		}
		if err := s.mayBeIn(ctx, tx, caller, candidate{userID: userID}); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, RequestApproved, caller.UserID, subject{UserID: userID}); err != nil {
			return err
		}
		joined = newMember(userID, o.Applicant.Name, MemberRole, s.instant())
		return s.seat(ctx, tx, caller, joined, o)
	})
	return joined, err
}

// Reject refuses who asked to become a member; they may ask again. It returns
// fault.ErrNotFound when the user did not ask.
func (s *Service) Reject(ctx context.Context, caller auth.Identity, groupID, userID string) error {
	return s.change(ctx, actRequests, caller, groupID, asked{what: "reject " + userID}, func(tx Tx, _ *Member) error {
		if _, err := applicant(ctx, tx, userID); err != nil {
			return err
		}
		if err := tx.RemoveApplicant(ctx, userID); err != nil {
			return err
		}
		_, err := tx.Append(ctx, RequestRejected, caller.UserID, subject{UserID: userID})
		return err
	})
}

var errNoRequest = fault.ErrNotFound.WithMessage("this user did not ask to join the group")

// applicant returns what the group keeps about a user who asked to join it.
func applicant(ctx context.Context, tx Tx, userID string) (Outsider, error) {
	known, err := tx.Outsiders(ctx, userID)
	if err != nil {
		return Outsider{}, err
	}
	if o := known[userID]; o.Applicant != nil {
		return o, nil
	}
	return Outsider{}, errNoRequest
}
