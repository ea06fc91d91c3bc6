package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// ApplicantList is the part of a [Repository] that lists applicants.
type ApplicantList interface {
	// Applicants lists the users who asked to become members, ordered by user id, after the
	// given one.
	Applicants(ctx context.Context, groupID, after string, limit int) ([]Applicant, error)
	// UserRequests lists the open join requests of a user, newest group id first, before
	// the given id. If before is empty, it begins with the newest. It leaves out groups
	// that have ended, and the names of private groups.
	UserRequests(ctx context.Context, userID, before string, limit int) ([]SentRequest, error)
}

// SentRequest is a join request as the user who sent it gets it.
type SentRequest struct {
	GroupID   string    `json:"groupId"`
	GroupName string    `json:"groupName,omitempty" doc:"absent if the group has become private"`
	At        time.Time `json:"at"`
}

// ApplicantTx is the part of a [Tx] that keeps join requests.
type ApplicantTx interface {
	// SetApplicant stores a user's join request.
	SetApplicant(ctx context.Context, a Applicant) error
	// RemoveApplicant removes a user's join request, if there is one. A change that makes
	// the user a member, or bans them, must call it.
	RemoveApplicant(ctx context.Context, userID string) error
	// CountApplicants counts the applicants, up to most.
	CountApplicants(ctx context.Context, most int) (int, error)
}

// StatusRequested is the [Joined] status of a user who waits for approval.
const StatusRequested = "requested"

// Joined is the result of [Service.Join]: the new member, or a status if an admin has to
// approve them first. Its JSON is one of the two.
type Joined struct {
	*Member
	Status string `json:"status,omitempty"` // requested, or empty
}

// Requested reports whether the caller is not a member yet.
func (j Joined) Requested() bool { return j.Status == StatusRequested }

// ask stores the caller's join request, unless there is one.
func (s *Service) ask(ctx context.Context, tx Tx, caller auth.Identity, o Outsider, about *inquiry) (Joined, error) {
	asked := Joined{Status: StatusRequested}
	if o.Applicant != nil {
		return asked, nil
	}
	if err := checkRows(ctx, caller, s.limits.GroupRequests(), tx.CountApplicants, "this group has too many open requests: ask again later"); err != nil {
		return Joined{}, err
	}
	if err := about.dueWith(Entering{By: byRequest}); err != nil {
		return Joined{}, err
	}
	if err := tx.SetApplicant(ctx, Applicant{UserID: caller.UserID, Name: caller.Name, At: s.instant()}); err != nil {
		return Joined{}, err
	}
	_, err := tx.Append(ctx, RequestCreated, caller.UserID, subject{UserID: caller.UserID})
	return asked, err
}

// Applicants lists at most limit users who asked to become members, ordered by user id,
// after the given one. There are more if it returns limit users, or [ListBytes].
func (s *Service) Applicants(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]Applicant, error) {
	if err := s.list(ctx, actRequests, caller, groupID); err != nil {
		return nil, err
	}
	applicants, err := s.repo.Applicants(ctx, groupID, after, limit)
	return applicants, Hide(err)
}

// Approve makes an applicant a member. It changes nothing if they are one already. It
// returns fault.ErrNotFound if the user did not ask, ErrGroupFull or ErrLimitReached.
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
		return s.seat(ctx, tx, caller, &joined, o)
	})
	return joined, err
}

// Reject refuses an applicant. They may ask again. It returns fault.ErrNotFound if the user
// did not ask.
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

// Withdraw removes the caller's join request, if there is one.
func (s *Service) Withdraw(ctx context.Context, caller auth.Identity, groupID string) error {
	return s.change(ctx, actWithdraw, caller, groupID, asked{what: "withdraw"}, func(tx Tx, _ *Member) error {
		known, err := tx.Outsiders(ctx, caller.UserID)
		if err != nil || known[caller.UserID].Applicant == nil {
			return err
		}
		if err := tx.RemoveApplicant(ctx, caller.UserID); err != nil {
			return err
		}
		_, err = tx.Append(ctx, RequestWithdrawn, caller.UserID, subject{UserID: caller.UserID})
		return err
	})
}

// SentRequests lists at most limit open join requests of the caller, newest group id first,
// before the given id. If before is empty, it begins with the newest. There are more if it
// returns limit requests.
func (s *Service) SentRequests(ctx context.Context, caller auth.Identity, before string, limit int) ([]SentRequest, error) {
	if err := caller.Check(auth.ReadGroups); err != nil {
		return nil, err
	}
	if err := charge(caller, s.limits.Read); err != nil {
		return nil, err
	}
	return s.repo.UserRequests(ctx, caller.UserID, before, limit)
}

var errNoRequest = fault.ErrNotFound.WithMessage("this user did not ask to join the group")

// applicant returns what the group keeps about an applicant, or errNoRequest.
func applicant(ctx context.Context, tx OutsiderTx, userID string) (Outsider, error) {
	known, err := tx.Outsiders(ctx, userID)
	if err != nil {
		return Outsider{}, err
	}
	if o := known[userID]; o.Applicant != nil {
		return o, nil
	}
	return Outsider{}, errNoRequest
}
