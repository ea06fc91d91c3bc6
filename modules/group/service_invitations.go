package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// InvitationList is the part of a [Repository] that lists invitations.
type InvitationList interface {
	// UserInvitations lists the invitations of a user that have not expired at now, newest
	// group id first, before the given id. If before is empty, it begins with the newest.
	// It leaves out groups that have ended.
	UserInvitations(ctx context.Context, userID, before string, now time.Time, limit int) ([]ReceivedInvitation, error)
}

// InvitationTx is the part of a [Tx] that keeps the group's invitations, and which users
// have left it.
type InvitationTx interface {
	// SetInvitations stores invitations. They replace earlier ones of the same users.
	SetInvitations(ctx context.Context, invitations []Invitation) error
	// RemoveInvitation removes a user's invitation, if there is one. A change that makes
	// the user a member, or bans them, must call it.
	RemoveInvitation(ctx context.Context, userID string) error
	// CountInvitations returns how many invitations have not expired at now.
	CountInvitations(ctx context.Context, now time.Time) (int, error)
	// SetDeparted records that a user has left. The record lasts as long as the group.
	SetDeparted(ctx context.Context, userID string) error
	// Departed returns which users have ever left, even if they came back.
	Departed(ctx context.Context, userIDs ...string) (map[string]bool, error)
}

// Invitation invites one user to become a member. Unlike an [Invite], it has no code.
type Invitation struct {
	UserID    string
	InvitedBy string
	At        time.Time
	ExpiresAt time.Time
}

// ReceivedInvitation is an [Invitation] as the invited user gets it.
type ReceivedInvitation struct {
	GroupID   string    `json:"groupId"`
	GroupName string    `json:"groupName"`
	InvitedBy string    `json:"invitedBy" doc:"user id of the admin"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// InvitationAge is how long an invitation can be accepted.
const InvitationAge = 30 * 24 * time.Hour

// maxInvitations is the maximum number of open invitations of a group.
const maxInvitations = 1_000

// invited is the data of member.invited.
type invited struct {
	UserID    string    `json:"userId"`
	ExpiresAt time.Time `json:"expiresAt"`
}

var (
	errTooManyInvited = ErrLimitReached.WithMessage("a group cannot invite more users: wait until some have answered")
	errNotInvited     = fault.ErrNotFound.WithMessage("this group does not invite you")
)

// holds reports whether the invitation can be accepted at now.
func (i *Invitation) holds(now time.Time) bool { return i != nil && i.ExpiresAt.After(now) }

// consent splits users whom the caller adds into those who become members at once and those
// who are invited. Users who requested to join have agreed. Users who have left are always
// invited, regardless of the configuration.
func (s *Service) consent(ctx context.Context, tx InvitationTx, caller auth.Identity, users []candidate, known map[string]Outsider) (added, asked []candidate, err error) {
	if caller.Admin || len(users) == 0 {
		return users, nil, nil
	}
	var left map[string]bool
	if s.cfg.Add == AddDirect {
		ids := make([]string, len(users))
		for i, u := range users {
			ids[i] = u.userID
		}
		if left, err = tx.Departed(ctx, ids...); err != nil {
			return nil, nil, err
		}
	}
	for _, u := range users {
		if known[u.userID].Applicant != nil || s.cfg.Add == AddDirect && !left[u.userID] {
			added = append(added, u)
		} else {
			asked = append(asked, u)
		}
	}
	return added, asked, nil
}

// inviteUsers invites users who are not invited already. It returns the ids of all of them.
func (s *Service) inviteUsers(ctx context.Context, tx Tx, caller auth.Identity, users []candidate, known map[string]Outsider) ([]string, error) {
	if len(users) == 0 {
		return nil, nil
	}
	now := s.instant()
	all := make([]string, len(users))
	fresh := make([]Invitation, 0, len(users))
	for n, u := range users {
		all[n] = u.userID
		if !known[u.userID].Invitation.holds(now) {
			fresh = append(fresh, Invitation{UserID: u.userID, InvitedBy: caller.UserID, At: now, ExpiresAt: now.Add(InvitationAge)})
		}
	}
	if len(fresh) == 0 {
		return all, nil
	}
	count, err := tx.CountInvitations(ctx, now)
	switch {
	case err != nil:
		return nil, err
	case count+len(fresh) > maxInvitations:
		return nil, errTooManyInvited
	}
	if err := tx.SetInvitations(ctx, fresh); err != nil {
		return nil, err
	}
	for _, i := range fresh {
		if _, err := tx.Append(ctx, MemberInvited, caller.UserID, invited{UserID: i.UserID, ExpiresAt: i.ExpiresAt}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// permit is [allow] inside a change. Even if the group is private, an invited outsider may
// answer the invitation, and an outsider who requested to join may withdraw the request.
func (s *Service) permit(ctx context.Context, tx Tx, a action, caller auth.Identity, m *Member) error {
	if m == nil && (a == actAnswerInvitation || a == actWithdraw) {
		known, err := tx.Outsiders(ctx, caller.UserID)
		if err != nil {
			return err
		}
		self := known[caller.UserID]
		if a == actAnswerInvitation && self.Invitation.holds(s.instant()) || a == actWithdraw && self.Applicant != nil {
			return caller.Check(permissions[a].call)
		}
	}
	if err := allow(a, caller, tx.Group(), m); err != nil {
		return err
	}
	return allowSpeech(a, caller, tx.Group(), m, s.instant())
}

// Invitations lists at most limit invitations of the caller, newest group id first, before
// the given id. If before is empty, it begins with the newest. There are more if it returns
// limit invitations.
func (s *Service) Invitations(ctx context.Context, caller auth.Identity, before string, limit int) ([]ReceivedInvitation, error) {
	if err := caller.Check(auth.ReadGroups); err != nil {
		return nil, err
	}
	if err := charge(caller, s.limits.Read); err != nil {
		return nil, err
	}
	return s.repo.UserInvitations(ctx, caller.UserID, before, s.instant(), limit)
}

// AcceptInvitation makes the caller a member of a group that invites them. It changes
// nothing if they are a member already. For other users it returns the errors of
// [Service.Leave] for outsiders. It returns ErrGroupFull or ErrLimitReached like Join.
func (s *Service) AcceptInvitation(ctx context.Context, caller auth.Identity, groupID string) (Member, error) {
	var joined Member
	about := s.inquire(caller, AskJoin, groupID, nil)
	err := s.change(ctx, actAnswerInvitation, caller, groupID, asked{what: "accept the invitation", answer: &joined, about: about}, func(tx Tx, m *Member) error {
		if m != nil {
			joined = *m
			return nil
		}
		known, err := tx.Outsiders(ctx, caller.UserID)
		if err != nil {
			return err
		}
		self, now := known[caller.UserID], s.instant()
		if !self.Invitation.holds(now) {
			return errNotInvited // the caller is a back end
		}
		if err := s.chargeJoin(caller, groupID, about); err != nil {
			return err
		}
		if err := s.mayBeIn(ctx, tx, caller, candidate{userID: caller.UserID}); err != nil {
			return err
		}
		joined, err = s.admit(ctx, tx, caller, self, about, byInvitation)
		return err
	})
	return joined, err
}

// DeclineInvitation removes the caller's invitation. It does nothing for members. For other
// users it returns the errors of [Service.Leave] for outsiders.
func (s *Service) DeclineInvitation(ctx context.Context, caller auth.Identity, groupID string) error {
	return s.change(ctx, actAnswerInvitation, caller, groupID, asked{what: "decline the invitation"}, func(tx Tx, m *Member) error {
		if m != nil {
			return nil
		}
		return tx.RemoveInvitation(ctx, caller.UserID)
	})
}
