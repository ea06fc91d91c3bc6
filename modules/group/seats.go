package group

import (
	"context"

	"github.com/moim-live/moim/modules/auth"
)

// admit makes the caller a member, with the attributes from the back end. o is what the
// group keeps about the caller.
func (s *Service) admit(ctx context.Context, tx Tx, caller auth.Identity, o Outsider, about *inquiry, by string) (Member, error) {
	if err := s.hasSeat(tx.Group()); err != nil {
		return Member{}, err
	}
	if err := about.dueWith(Entering{By: by}); err != nil {
		return Member{}, err
	}
	m := newMember(caller.UserID, caller.Name, MemberRole, s.instant())
	var err error
	if m.Attributes, _, err = about.attributes().Apply(m.Attributes); err != nil {
		return Member{}, err
	}
	err = s.seat(ctx, tx, caller, &m, o)
	return m, err
}

// hasSeat returns ErrGroupFull or ErrLimitReached if the group has no seat.
func (s *Service) hasSeat(g Group) error {
	if g.Capacity != nil && g.MemberCount >= *g.Capacity {
		return ErrGroupFull
	}
	if g.MemberCount >= s.cfg.LimitMembers {
		return ErrLimitReached.WithMessage("a group on this server cannot have more members")
	}
	return nil
}

// seat adds m. o is what the group keeps about the user; an earlier mute applies again. It
// returns the errors of hasSeat.
func (s *Service) seat(ctx context.Context, tx Tx, caller auth.Identity, m *Member, o Outsider) error {
	if err := s.hasSeat(tx.Group()); err != nil {
		return err
	}
	if o.Applicant != nil {
		if err := tx.RemoveApplicant(ctx, m.UserID); err != nil {
			return err
		}
	}
	if o.Invitation != nil {
		if err := tx.RemoveInvitation(ctx, m.UserID); err != nil {
			return err
		}
	}
	if o.Mute.holds(m.JoinedAt) {
		m.Muted, m.MutedUntil = true, o.Mute.ExpiresAt
	}
	if err := tx.AddMember(ctx, *m); err != nil {
		return err
	}
	_, err := tx.Append(ctx, MemberJoined, caller.UserID, m)
	return err
}
