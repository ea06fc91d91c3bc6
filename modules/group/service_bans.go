package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/dto"
)

// BanList is the part of a [Repository] that lists bans.
type BanList interface {
	// Bans lists the bans that have not expired at now, ordered by user id, after the given
	// one.
	Bans(ctx context.Context, groupID, after string, now time.Time, limit int) ([]Ban, error)
}

// BanTx is the part of a [Tx] that sets and lifts bans, of members and other users.
type BanTx interface {
	// SetBan bans a user. It replaces an existing ban.
	SetBan(ctx context.Context, b Ban) error
	// RemoveBan lifts a ban, if there is one.
	RemoveBan(ctx context.Context, userID string) error
	// CountBans counts the bans, including expired ones, up to most.
	CountBans(ctx context.Context, most int) (int, error)
}

// banned is the data of member.banned.
type banned struct {
	UserID string `json:"userId"`
	Reason string `json:"reason,omitempty"`
}

// Ban bans a user from a group. If the user is a member, their rank must be below the
// caller's. Ban removes a membership, a join request and an invitation. It also revokes the
// invites that the user made, unless req.KeepInvites is set. Repeating the same ban changes
// nothing. It returns ErrOwnerMustTransfer for the owner.
func (s *Service) Ban(ctx context.Context, caller auth.Identity, groupID, userID string, req dto.BanRequest) (Ban, error) {
	now := s.instant()
	req, err := req.Validate(userID, now)
	if err != nil {
		return Ban{}, err
	}
	var ban Ban
	err = s.change(ctx, actBan, caller, groupID, asked{what: "ban " + userID, with: req, answer: &ban}, func(tx Tx, self *Member) error {
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
		if old := known[userID].Ban; target == nil && old.holds(now) && old.matches(req) {
			ban = *old
			return nil
		}
		if known[userID].Ban == nil {
			if err := checkRows(ctx, caller, s.limits.GroupBans(), tx.CountBans, "a group on this server cannot have more bans: lift some"); err != nil {
				return err
			}
		}
		ban = Ban{UserID: userID, Reason: req.Reason, ExpiresAt: req.ExpiresAt, Actor: caller.UserID, At: now}
		if err := tx.SetBan(ctx, ban); err != nil {
			return err
		}
		if known[userID].Applicant != nil {
			if err := tx.RemoveApplicant(ctx, userID); err != nil {
				return err
			}
		}
		if known[userID].Invitation != nil {
			if err := tx.RemoveInvitation(ctx, userID); err != nil {
				return err
			}
		}
		if target != nil {
			if err := tx.RemoveMember(ctx, userID); err != nil {
				return err
			}
		}
		if _, err := tx.Append(ctx, MemberBanned, caller.UserID, banned{UserID: userID, Reason: req.Reason}); err != nil || req.KeepInvites {
			return err
		}
		return revokeInvitesOf(ctx, tx, caller, userID)
	})
	return ban, err
}

// Unban lifts a ban, if there is one. The join policy then decides whether the user may
// join again.
func (s *Service) Unban(ctx context.Context, caller auth.Identity, groupID, userID string) error {
	return s.change(ctx, actBan, caller, groupID, asked{what: "unban " + userID}, func(tx Tx, _ *Member) error {
		if !dto.ValidUserID(userID) {
			return nil
		}
		return tx.RemoveBan(ctx, userID)
	})
}

// Bans lists at most limit bans that have not expired, ordered by user id, after the given
// one. There are more if it returns limit bans, or [ListBytes].
func (s *Service) Bans(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]Ban, error) {
	if err := s.list(ctx, actBan, caller, groupID); err != nil {
		return nil, err
	}
	bans, err := s.repo.Bans(ctx, groupID, after, s.instant(), limit)
	return bans, Hide(err)
}

// matches reports whether the request asks for this ban.
func (b *Ban) matches(req dto.BanRequest) bool {
	same := req.ExpiresAt == nil && b.ExpiresAt == nil ||
		req.ExpiresAt != nil && b.ExpiresAt != nil && req.ExpiresAt.Equal(*b.ExpiresAt)
	return same && req.Reason == b.Reason
}

// mayEnter returns ErrBanned if the caller is banned. Back ends are never banned.
func mayEnter(caller auth.Identity, o Outsider, now time.Time) error {
	if !caller.Admin && o.Ban.holds(now) {
		return ErrBanned
	}
	return nil
}

// errBannedOther is ErrBanned for a caller who adds someone else.
var errBannedOther = ErrBanned.WithMessage("a user to be added is banned from this group: lift the ban first")
