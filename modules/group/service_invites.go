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
	"github.com/moim-live/moim/modules/group/dto"
)

// InviteList is the part of a [Repository] that finds invites.
type InviteList interface {
	// Invites lists invites by id, newest first, before the given id. If before is empty,
	// it begins with the newest.
	Invites(ctx context.Context, groupID, before string, limit int) ([]Invite, error)
	// InvitedTo returns the id of the group that an invite's code belongs to, or
	// fault.ErrNotFound.
	InvitedTo(ctx context.Context, codeHash string) (string, error)
}

// InviteTx is the part of a [Tx] that keeps invites.
type InviteTx interface {
	// AddInvite inserts an invite. The store keeps only the hash of its code.
	AddInvite(ctx context.Context, i Invite, codeHash string) error
	// Invite returns this group's invite with a code, or nil.
	Invite(ctx context.Context, codeHash string) (*Invite, error)
	// UseInvite counts one use. It fails if there is no such invite.
	UseInvite(ctx context.Context, inviteID string) error
	// RemoveInvite deletes an invite. It returns false if there is none.
	RemoveInvite(ctx context.Context, inviteID string) (bool, error)
	// RemoveInvitesOf deletes the invites that a user made, and returns their ids.
	RemoveInvitesOf(ctx context.Context, userID string) ([]string, error)
	// CountInvites returns the number of the group's invites, including those that have
	// expired or are used up.
	CountInvites(ctx context.Context) (int, error)
	// RemoveOver deletes the invites that have expired at now or are used up. It returns
	// their number.
	RemoveOver(ctx context.Context, now time.Time) (int, error)
}

// maxInvites is the maximum number of usable invites of a group.
const maxInvites = 1_000

// OverAge is how long the store keeps invites that have expired or are used up, and bans
// that have expired. So nodes with slightly different clocks treat them the same, and a
// repeated acceptance gets its first answer.
const OverAge = 24 * time.Hour

// codeBytes is the number of random bytes in an invite's code.
const codeBytes = 18

// NewInvite is an invite with its code. The code is shown only once, because the store
// keeps only its hash.
type NewInvite struct {
	Invite
	Code string `json:"code"`
}

// inviteSubject is the data of events about invites.
type inviteSubject struct {
	InviteID string `json:"inviteId"`
}

var errTooManyInvites = ErrLimitReached.WithMessage("a group cannot have more invites: revoke one that nobody needs")

// Invite creates a code with which users become members, regardless of the join policy. It
// returns ErrLimitReached if the group has 1,000 usable invites.
func (s *Service) Invite(ctx context.Context, caller auth.Identity, groupID string, req dto.InviteRequest) (NewInvite, error) {
	now := s.instant()
	req, err := req.Validate(now)
	if err != nil {
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
			ExpiresAt: req.ExpiresAt,
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

// revokeInvitesOf revokes the invites of a user who is not an admin any more.
func revokeInvitesOf(ctx context.Context, tx Tx, caller auth.Identity, userID string) error {
	revoked, err := tx.RemoveInvitesOf(ctx, userID)
	if err != nil {
		return err
	}
	for _, inviteID := range revoked {
		if _, err := tx.Append(ctx, InviteRevoked, caller.UserID, inviteSubject{InviteID: inviteID}); err != nil {
			return err
		}
	}
	return nil
}

// mayInvite checks that the group may have one more invite. At the limit, it removes
// invites that are over, which is otherwise the janitor's task.
func mayInvite(ctx context.Context, tx InviteTx, now time.Time) error {
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

// Invites lists at most limit invites that were not revoked, newest first, before the given
// id. If before is empty, it begins with the newest. It includes invites that are over, for
// [OverAge]. There are more if it returns limit invites, or [ListBytes].
func (s *Service) Invites(ctx context.Context, caller auth.Identity, groupID, before string, limit int) ([]Invite, error) {
	if err := s.list(ctx, actInvite, caller, groupID); err != nil {
		return nil, err
	}
	invites, err := s.repo.Invites(ctx, groupID, before, limit)
	return invites, Hide(err)
}

var errNoInvite = fault.ErrNotFound.WithMessage("there is no such invite in this group")

// Revoke deletes an invite, so that its code becomes invalid. It returns fault.ErrNotFound
// if there is no such invite.
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

// Accept makes the caller a member of the group that a code belongs to. The code is
// sufficient, even for a private group. If the caller is a member already, nothing changes
// and no use is counted. Accept returns ErrInviteInvalid for a code that is unknown,
// revoked, expired or used up, ErrBanned, ErrGroupEnded, ErrGroupFull or ErrLimitReached.
func (s *Service) Accept(ctx context.Context, caller auth.Identity, code string) (Member, error) {
	hash := hashOf(code)
	var joined Member
	request := asked{what: "accept " + hash, answer: &joined}
	receipt, err := request.receipt(ctx, caller)
	if err != nil {
		return joined, err
	}
	if err := caller.Check(auth.WriteGroups); err != nil {
		return joined, err
	}
	if err := charge(caller, s.limits.Read); err != nil { // this also limits guessing of codes
		return joined, err
	}
	groupID, err := s.repo.InvitedTo(ctx, hash)
	if err != nil {
		err = s.settle(ctx, receipt, request, invalid(err))
		return joined, err
	}
	var (
		events []Event
		about  = s.inquire(caller, AskJoin, groupID, nil)
	)
	accept := func(tx Tx) error {
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
			if joined, err = s.enter(ctx, tx, caller, *invite, about); err != nil {
				return err
			}
		}
		return request.keep(ctx, tx, receipt)
	}
	err = s.asking(ctx, about, receipt, func() error {
		events, err = s.transact(ctx, caller, auditAcceptInvite, groupID, accept)
		return err
	})
	if err != nil {
		if !forbidden(err) {
			err = s.settle(ctx, receipt, request, invalid(err))
		}
		return joined, err
	}
	if len(events) > 0 {
		s.announcer.Announce(ctx, events)
	}
	return joined, nil
}

// enter makes the caller a member and counts one use of the invite.
func (s *Service) enter(ctx context.Context, tx Tx, caller auth.Identity, invite Invite, about *inquiry) (Member, error) {
	now := s.instant()
	if !invite.Holds(now) {
		return Member{}, ErrInviteInvalid
	}
	if err := s.chargeJoin(caller, tx.Group().ID, about); err != nil {
		return Member{}, err
	}
	known, err := tx.Outsiders(ctx, caller.UserID)
	if err != nil {
		return Member{}, err
	}
	self := known[caller.UserID]
	if err := goesOn(actJoin, tx.Group()); err != nil {
		return Member{}, err
	}
	if err := mayEnter(caller, self, now); err != nil {
		return Member{}, err
	}
	if err := s.mayBeIn(ctx, tx, caller, candidate{userID: caller.UserID}); err != nil {
		return Member{}, err
	}
	if err := tx.UseInvite(ctx, invite.InviteID); err != nil {
		return Member{}, err
	}
	return s.admit(ctx, tx, caller, self, about, byInvite)
}

// invalid replaces not_found by ErrInviteInvalid, so that a code of a deleted group looks
// like an unknown code.
func invalid(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return ErrInviteInvalid
	}
	return err
}

// Holds reports whether the invite can be accepted at now.
func (i Invite) Holds(now time.Time) bool {
	return (i.ExpiresAt == nil || i.ExpiresAt.After(now)) && (i.MaxUses == nil || i.Uses < *i.MaxUses)
}

func hashOf(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}
