package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/dto"
)

// Mute keeps a user from posting in a group.
type Mute struct {
	UserID    string     `json:"userId"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"` // nil if it does not expire
	Actor     string     `json:"actor"`               // the user who muted them
	At        time.Time  `json:"at"`
}

// holds reports whether the mute is in force at now.
func (m *Mute) holds(now time.Time) bool {
	return m != nil && (m.ExpiresAt == nil || m.ExpiresAt.After(now))
}

// matches reports whether the request asks for this mute.
func (m *Mute) matches(req dto.MuteRequest) bool {
	return req.ExpiresAt == nil && m.ExpiresAt == nil ||
		req.ExpiresAt != nil && m.ExpiresAt != nil && req.ExpiresAt.Equal(*m.ExpiresAt)
}

// mutedAt reports whether the member is muted at now.
func (m *Member) mutedAt(now time.Time) bool {
	return m != nil && m.Muted && (m.MutedUntil == nil || m.MutedUntil.After(now))
}

// current returns the member without an expired mute.
func (m Member) current(now time.Time) Member {
	if !m.mutedAt(now) {
		m.Muted, m.MutedUntil = false, nil
	}
	return m
}

// MuteList is the part of a [Repository] that lists mutes.
type MuteList interface {
	// Mutes lists the mutes that have not expired at now, ordered by user id, after the
	// given one. It includes mutes of former members.
	Mutes(ctx context.Context, groupID, after string, now time.Time, limit int) ([]Mute, error)
}

// MuteTx is the part of a [Tx] that mutes users. A mute continues when the user leaves.
// While they are a member, their [Member] has it, too.
type MuteTx interface {
	// Mute returns a user's mute, or nil. It may have expired.
	Mute(ctx context.Context, userID string) (*Mute, error)
	// SetMute mutes a user. It replaces an existing mute.
	SetMute(ctx context.Context, m Mute) error
	// RemoveMute lifts a mute, if there is one.
	RemoveMute(ctx context.Context, userID string) error
	// CountMutes counts the mutes, including expired ones, up to most.
	CountMutes(ctx context.Context, most int) (int, error)
}

// muted is the data of member.muted.
type muted struct {
	UserID    string     `json:"userId"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// Mute keeps a member from posting, editing messages and sending signals, also after they
// have left and come back. The member's rank must be below the caller's. Repeating the same
// mute changes nothing.
func (s *Service) Mute(ctx context.Context, caller auth.Identity, groupID, userID string, req dto.MuteRequest) (Mute, error) {
	now := s.instant()
	req, err := req.Validate(now)
	if err != nil {
		return Mute{}, err
	}
	var mute Mute
	err = s.change(ctx, actMute, caller, groupID, asked{what: "mute " + userID, with: req, answer: &mute}, func(tx Tx, self *Member) error {
		if _, err := reach(ctx, tx, caller, self, userID); err != nil {
			return err
		}
		old, err := tx.Mute(ctx, userID)
		if err != nil {
			return err
		}
		if old.holds(now) && old.matches(req) {
			mute = *old
			return nil
		}
		if old == nil {
			if err := checkRows(ctx, caller, s.limits.GroupBans(), tx.CountMutes, "a group on this server cannot have more mutes: lift some"); err != nil {
				return err
			}
		}
		mute = Mute{UserID: userID, ExpiresAt: req.ExpiresAt, Actor: caller.UserID, At: now}
		if err := tx.SetMute(ctx, mute); err != nil {
			return err
		}
		_, err = tx.Append(ctx, MemberMuted, caller.UserID, muted{UserID: userID, ExpiresAt: req.ExpiresAt})
		return err
	})
	return mute, err
}

// Unmute lifts a user's mute, if there is one. The user must not be a member, or must have
// a rank below the caller's.
func (s *Service) Unmute(ctx context.Context, caller auth.Identity, groupID, userID string) error {
	return s.change(ctx, actMute, caller, groupID, asked{what: "unmute " + userID}, func(tx Tx, self *Member) error {
		if !dto.ValidUserID(userID) {
			return nil
		}
		target, err := tx.Member(ctx, userID)
		if err != nil {
			return err
		}
		if target != nil {
			if err := allowOn(caller, self, *target); err != nil {
				return err
			}
		}
		old, err := tx.Mute(ctx, userID)
		if err != nil || old == nil {
			return err
		}
		if err := tx.RemoveMute(ctx, userID); err != nil || !old.holds(s.instant()) {
			return err
		}
		_, err = tx.Append(ctx, MemberUnmuted, caller.UserID, subject{UserID: userID})
		return err
	})
}

// Mutes lists at most limit mutes that have not expired, ordered by user id, after the
// given one. It includes mutes of former members. There are more if it returns limit mutes,
// or [ListBytes].
func (s *Service) Mutes(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]Mute, error) {
	if err := s.list(ctx, actMute, caller, groupID); err != nil {
		return nil, err
	}
	mutes, err := s.repo.Mutes(ctx, groupID, after, s.instant(), limit)
	return mutes, Hide(err)
}
