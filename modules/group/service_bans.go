package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/auth"
)

// banned is the data of member.banned.
type banned struct {
	UserID string `json:"userId"`
	Reason string `json:"reason,omitempty"`
}

// Ban keeps a user below the caller out of a group, removes them when they are a
// member, and forgets that they asked to be one. A repeat of the same ban changes nothing. It returns
// ErrOwnerMustTransfer where that is the owner.
func (s *Service) Ban(ctx context.Context, caller auth.Identity, groupID, userID string, req BanRequest) (Ban, error) {
	now := s.instant()
	if err := req.Validate(userID, now); err != nil {
		return Ban{}, err
	}
	var ban Ban
	err := s.change(ctx, actBan, caller, groupID, asked{"ban " + userID, req, &ban}, func(tx Tx, self *Member) error {
		target, err := tx.Member(ctx, userID)
		if err != nil {
			return err
		}
		if target != nil {
			if err := allowOn(caller, self, *target); err != nil {
				return err
			}
			if target.Role == Owner {
				return ErrOwnerMustTransfer
			}
		}
		known, err := tx.Outsiders(ctx, userID)
		if err != nil {
			return err
		}
		if old := known[userID].Ban; target == nil && old.holds(now) && req.matches(*old) {
			ban = *old
			return nil
		}
		ban = Ban{UserID: userID, Reason: req.Reason, ExpiresAt: req.expires(), Actor: caller.UserID, At: now}
		if err := tx.SetBan(ctx, ban); err != nil {
			return err
		}
		if known[userID].Applicant != nil {
			if err := tx.RemoveApplicant(ctx, userID); err != nil {
				return err
			}
		}
		if target != nil {
			if err := tx.RemoveMember(ctx, userID); err != nil {
				return err
			}
		}
		_, err = tx.Append(ctx, MemberBanned, caller.UserID, banned{UserID: userID, Reason: req.Reason})
		return err
	})
	return ban, err
}

// Unban lets a user come in again, as far as the join policy agrees. It does
// nothing when they are not banned.
func (s *Service) Unban(ctx context.Context, caller auth.Identity, groupID, userID string) error {
	return s.change(ctx, actBan, caller, groupID, asked{what: "unban " + userID}, func(tx Tx, _ *Member) error {
		if !ValidUserID(userID) {
			return nil
		}
		return tx.RemoveBan(ctx, userID)
	})
}

// Bans lists at most limit bans that have not expired by user id, after the
// given one. There are more when it returns limit.
func (s *Service) Bans(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]Ban, error) {
	if _, _, err := s.look(ctx, actBan, caller, groupID); err != nil {
		return nil, err
	}
	bans, err := s.repo.Bans(ctx, groupID, after, s.instant(), limit)
	return bans, Hide(err)
}

// mayEnter says whether a ban keeps the caller out. Back ends may do all.
func mayEnter(caller auth.Identity, o Outsider, now time.Time) error {
	if !caller.Admin && o.Ban.holds(now) {
		return ErrBanned
	}
	return nil
}

// errBannedOther is ErrBanned for whoever wants to add someone else: they lift
// the ban first.
var errBannedOther = ErrBanned.WithMessage("a user to be added is banned from this group: lift the ban first")
