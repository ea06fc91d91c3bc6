package group

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// codeBytes is what an invite's code holds of chance: nobody guesses it.
const codeBytes = 18

// NewInvite is an invite and its code, which is shown this once: the store
// keeps its hash alone.
type NewInvite struct {
	Invite
	Code string `json:"code"`
}

// inviteSubject is the data of events about invites.
type inviteSubject struct {
	InviteID string `json:"inviteId"`
}

var errTooManyInvites = ErrLimitReached.WithMessage("a group cannot have more invites: revoke one that nobody needs")

// Invite makes a code with which others become members, whatever the join
// policy says. It returns ErrLimitReached when the group has 1,000 that are
// good for something.
func (s *Service) Invite(ctx context.Context, caller auth.Identity, groupID string, req InviteRequest) (NewInvite, error) {
	now := s.instant()
	if err := req.Validate(now); err != nil {
		return NewInvite{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return NewInvite{}, fmt.Errorf("make an invite id: %w", err)
	}
	random := make([]byte, codeBytes)
	if _, err := rand.Read(random); err != nil {
		return NewInvite{}, fmt.Errorf("make an invite code: %w", err)
	}
	made := NewInvite{
		Invite: Invite{
			InviteID:  id.String(),
			MaxUses:   req.MaxUses,
			ExpiresAt: storedTime(req.ExpiresAt),
			CreatedAt: now,
			CreatedBy: caller.UserID,
		},
		Code: base64.RawURLEncoding.EncodeToString(random),
	}
	request := asked{what: "invite", with: req, answer: &made}
	err = s.change(ctx, actInvite, caller, groupID, request, func(tx Tx, _ *Member) error {
		if err := mayInvite(ctx, tx, now); err != nil {
			return err
		}
		if err := tx.AddInvite(ctx, made.Invite, hashOf(made.Code)); err != nil {
			return err
		}
		_, err := tx.Append(ctx, InviteCreated, caller.UserID, inviteSubject{InviteID: made.InviteID})
		return err
	})
	if err != nil {
		return NewInvite{}, err
	}
	return made, nil
}

// mayInvite says whether the group may have one invite more. What is over makes
// room only then: otherwise it is the [Janitor]'s.
func mayInvite(ctx context.Context, tx Tx, now time.Time) error {
	count, err := tx.CountInvites(ctx)
	if err != nil || count < maxInvites {
		return err
	}
	removed, err := tx.RemoveOver(ctx, now)
	if err == nil && count-removed >= maxInvites {
		err = errTooManyInvites
	}
	return err
}

// Invites lists at most limit invites that were not revoked, newest first, and
// those older than the invite before. Those that are over are among them for a
// while: see [OverAge]. There are more when it returns limit.
func (s *Service) Invites(ctx context.Context, caller auth.Identity, groupID, before string, limit int) ([]Invite, error) {
	if _, _, err := s.look(ctx, actInvite, caller, groupID); err != nil {
		return nil, err
	}
	invites, err := s.repo.Invites(ctx, groupID, before, limit)
	return invites, Hide(err)
}

var errNoInvite = fault.ErrNotFound.WithMessage("there is no such invite in this group")

// Revoke makes an invite's code worthless. It returns fault.ErrNotFound when
// there is no such invite.
func (s *Service) Revoke(ctx context.Context, caller auth.Identity, groupID, inviteID string) error {
	return s.change(ctx, actInvite, caller, groupID, asked{what: "revoke " + inviteID}, func(tx Tx, _ *Member) error {
		removed, err := tx.RemoveInvite(ctx, inviteID)
		if err != nil {
			return err
		}
		if !removed {
			return errNoInvite
		}
		_, err = tx.Append(ctx, InviteRevoked, caller.UserID, inviteSubject{InviteID: inviteID})
		return err
	})
}

// Accept makes the caller a member of the group that a code is for, seen or
// unseen: the code is the permission. Who is a member stays one and uses
// nothing. It returns ErrInviteInvalid for a code that is good for nothing,
// whatever the reason, ErrBanned, ErrGroupEnded, ErrGroupFull or
// ErrLimitReached.
func (s *Service) Accept(ctx context.Context, caller auth.Identity, code string) (Member, error) {
	hash := hashOf(code)
	var joined Member
	request := asked{what: "accept " + hash, answer: &joined}
	receipt, err := request.receipt(ctx, caller)
	if err != nil {
		return joined, err
	}
	groupID, err := s.repo.InvitedTo(ctx, hash)
	if err != nil {
		err = s.settle(ctx, receipt, request, invalid(err))
		return joined, err
	}
	events, err := s.repo.Change(ctx, groupID, func(tx Tx) error {
		invite, err := tx.Invite(ctx, hash)
		if err != nil {
			return err
		}
		if err := precheck(ctx, tx, caller.UserID); err != nil {
			return err
		}
		m, err := tx.Member(ctx, caller.UserID)
		if err != nil {
			return err
		}
		switch {
		case invite == nil:
			return ErrInviteInvalid
		case m != nil:
			joined = *m
		default:
			if err := s.enter(ctx, tx, caller, *invite, &joined); err != nil {
				return err
			}
		}
		return request.keep(ctx, tx, receipt)
	})
	if err != nil {
		err = s.settle(ctx, receipt, request, invalid(err))
		return joined, err
	}
	if len(events) > 0 {
		s.announcer.Announce(events)
	}
	return joined, nil
}

// enter uses an invite up by one.
func (s *Service) enter(ctx context.Context, tx Tx, caller auth.Identity, invite Invite, joined *Member) error {
	now := s.instant()
	if !invite.holds(now) {
		return ErrInviteInvalid
	}
	known, err := tx.Outsiders(ctx, caller.UserID)
	if err != nil {
		return err
	}
	self := known[caller.UserID]
	if err := mayEnter(caller, self, now); err != nil {
		return err
	}
	if err := goesOn(actJoin, tx.Group()); err != nil {
		return err
	}
	if err := s.mayBeIn(ctx, tx, caller, candidate{userID: caller.UserID}); err != nil {
		return err
	}
	if err := tx.UseInvite(ctx, invite.InviteID); err != nil {
		return err
	}
	*joined = newMember(caller.UserID, caller.Name, MemberRole, now)
	return s.seat(ctx, tx, caller, *joined, self)
}

// invalid makes a group that is gone the same as a code that never was.
func invalid(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return ErrInviteInvalid
	}
	return err
}

// holds reports whether the invite is good for one more at an instant.
func (i Invite) holds(now time.Time) bool {
	return (i.ExpiresAt == nil || i.ExpiresAt.After(now)) && (i.MaxUses == nil || i.Uses < *i.MaxUses)
}

func hashOf(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}
