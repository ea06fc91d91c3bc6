package group

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// MemberList is the part of a [Repository] that lists members.
type MemberList interface {
	// Members lists members ordered by user id, after the given one, and the group's
	// version at that moment. It does not set their status.
	Members(ctx context.Context, groupID, after string, limit int) ([]ListedMember, int64, error)
}

// MemberTx is the part of a [Tx] that changes members. A change of a membership needs an
// event; otherwise the transaction fails.
type MemberTx interface {
	// Member returns a member, or nil if userID is not a member.
	Member(ctx context.Context, userID string) (*Member, error)
	// AddMember inserts a member and counts them. If the user is a member already, the
	// change fails, at the latest when its function has returned.
	AddMember(ctx context.Context, m Member) error
	// SetMember replaces a member's role, attributes, name and profile. It fails if there
	// is no such member.
	SetMember(ctx context.Context, m Member) error
	// RemoveMember deletes a member, updates the count, and ends an offer of the group to
	// them. It fails if there is no such member.
	RemoveMember(ctx context.Context, userID string) error
	// MarkRead moves a member's read mark to the last event of the transaction. It does
	// nothing if userID is not a member.
	MarkRead(userID string)
}

// subject is the data of events that contain only a user id.
type subject struct {
	UserID string `json:"userId"`
}

// Join makes the caller a member if the join policy allows it. Back ends and invited users
// may always join. If an admin has to approve members, Join stores a request instead.
// Repeating it changes nothing and returns the same. It returns ErrBanned,
// ErrInviteRequired, ErrGroupFull or ErrLimitReached.
func (s *Service) Join(ctx context.Context, caller auth.Identity, groupID string) (Joined, error) {
	var joined Joined
	about := s.inquire(caller, AskJoin, groupID, nil)
	err := s.change(ctx, actJoin, caller, groupID, asked{what: "join", answer: &joined, about: about}, func(tx Tx, m *Member) error {
		if m != nil {
			joined = Joined{Member: new(m.current(s.instant()))}
			return nil
		}
		if err := s.chargeJoin(caller, groupID, about); err != nil {
			return err
		}
		known, err := tx.Outsiders(ctx, caller.UserID)
		if err != nil {
			return err
		}
		self := known[caller.UserID]
		if err := mayEnter(caller, self, s.instant()); err != nil {
			return err
		}
		by := byPolicy
		if self.Invitation.holds(s.instant()) {
			by = byInvitation
		}
		switch policy := tx.Group().JoinPolicy; {
		case caller.Admin || policy == JoinOpen || by == byInvitation:
			if err := s.mayBeIn(ctx, tx, caller, candidate{userID: caller.UserID}); err != nil {
				return err
			}
			fresh, err := s.admit(ctx, tx, caller, self, about, by)
			joined = Joined{Member: &fresh}
			return err
		case policy == JoinRequest:
			joined, err = s.ask(ctx, tx, caller, self, about)
			return err
		default:
			return ErrInviteRequired
		}
	})
	return joined, err
}

// precheck makes the store read a user's ban, request and membership in one step.
func precheck(ctx context.Context, tx OutsiderTx, userID string) error {
	_, err := tx.Outsiders(ctx, userID)
	return err
}

// Leave ends the caller's membership. It returns ErrOwnerMustTransfer for the owner.
func (s *Service) Leave(ctx context.Context, caller auth.Identity, groupID string) error {
	return s.leave(ctx, caller, groupID, asked{what: "leave"}, caller.UserID)
}

// LeaveFor is [Service.Leave] by a back end on behalf of a member. It returns
// fault.ErrForbidden for other callers.
func (s *Service) LeaveFor(ctx context.Context, caller auth.Identity, groupID string, req dto.LeaveRequest) error {
	if err := req.Check(); err != nil {
		return err
	}
	if req.UserID == "" {
		return s.Leave(ctx, caller, groupID)
	}
	if !caller.Admin {
		return errOnBehalf
	}
	return s.leave(ctx, caller, groupID, asked{what: "leave", with: req.UserID}, req.UserID)
}

var errOnBehalf = fault.ErrForbidden.WithMessage("only a back end may name a user on whose behalf it calls: leave out userId")

func (s *Service) leave(ctx context.Context, caller auth.Identity, groupID string, request asked, userID string) error {
	return s.change(ctx, actLeave, caller, groupID, request, func(tx Tx, _ *Member) error {
		m, err := tx.Member(ctx, userID)
		switch {
		case err != nil:
			return err
		case m == nil:
			return ErrNotMember // the back end never joined, or the user is not a member
		case m.Role == Owner:
			return ErrOwnerMustTransfer
		}
		if err := tx.SetDeparted(ctx, m.UserID); err != nil {
			return err
		}
		return unseat(ctx, tx, caller, m.UserID, MemberLeft)
	})
}

func unseat(ctx context.Context, tx Tx, caller auth.Identity, userID string, typ EventType) error {
	if err := tx.RemoveMember(ctx, userID); err != nil {
		return err
	}
	_, err := tx.Append(ctx, typ, caller.UserID, subject{UserID: userID})
	return err
}

// ListedMember is a member with their presence. Status is online, reconnecting or offline,
// or empty if unknown.
type ListedMember struct {
	Member
	ReadVersion *int64 `json:"readVersion,omitempty" doc:"version of the last event that the member has read; absent unless the group has readReceipts"`
	Status      string `json:"status,omitempty" enum:"online,reconnecting,offline" doc:"absent while presence is unavailable"`
}

// Members lists at most limit members ordered by user id, after the given one, and the
// group's version at that moment. There are more if it returns limit members, or
// [ListBytes].
func (s *Service) Members(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]ListedMember, int64, error) {
	if err := s.list(ctx, actRead, caller, groupID); err != nil {
		return nil, 0, err
	}
	members, version, err := s.repo.Members(ctx, groupID, after, limit)
	if err != nil {
		return nil, 0, Hide(err)
	}
	statuses, known := s.statuses(ctx, groupID)
	now := s.instant()
	for i := range members {
		m := &members[i]
		m.Member = m.current(now)
		if !known {
			continue
		}
		m.Status = StatusOffline
		if status, there := statuses[m.UserID]; there {
			m.Status = status
		}
	}
	return members, version, nil
}

// Member returns one member, or fault.ErrNotFound if userID is not a member.
func (s *Service) Member(ctx context.Context, caller auth.Identity, groupID, userID string) (Member, error) {
	_, self, err := s.look(ctx, actRead, caller, groupID)
	if err != nil {
		return Member{}, err
	}
	if self != nil && self.UserID == userID {
		return self.current(s.instant()), nil
	}
	if !dto.ValidUserID(userID) {
		return Member{}, errNoMember
	}
	_, m, err := s.repo.Group(ctx, groupID, userID)
	if err != nil {
		return Member{}, Hide(err)
	}
	if m == nil {
		return Member{}, errNoMember
	}
	return m.current(s.instant()), nil
}

// AddedMembers lists the new members and the invited users, with the group's version after
// the change.
type AddedMembers struct {
	Items   []Member `json:"items" doc:"the new members; existing members are left out"`
	Invited []string `json:"invited,omitempty" doc:"ids of the users who are invited and not yet members, also if they were invited before"`
	Version int64    `json:"version"`
}

// AddMembers makes users members, or invites them: all of them or, after an error, none.
// Back ends add users at once, optionally with names. Other callers add users who requested
// to join and, if the configuration allows it, users who never left. The other users become
// members when they accept ([Service.AcceptInvitation]). AddMembers skips members. It
// returns ErrBanned with the field of the user, ErrGroupFull or ErrLimitReached.
func (s *Service) AddMembers(ctx context.Context, caller auth.Identity, groupID string, req dto.AddMembersRequest) (AddedMembers, error) {
	req, err := req.Validate()
	if err != nil {
		return AddedMembers{}, err
	}
	if len(req.Names) > 0 && !caller.Admin {
		return AddedMembers{}, errNamesOthers
	}
	var kept keptAddition
	err = s.change(ctx, actAddMembers, caller, groupID, asked{what: "add members", with: req, answer: &kept}, func(tx Tx, _ *Member) error {
		var added AddedMembers
		known, err := tx.Outsiders(ctx, req.UserIDs...)
		if err != nil {
			return err
		}
		now := s.instant()
		fresh, err := s.candidates(ctx, tx, req.UserIDs, known, now)
		if err != nil {
			return err
		}
		fresh, invitees, err := s.consent(ctx, tx, caller, fresh, known)
		if err != nil {
			return err
		}
		if err := s.mayBeIn(ctx, tx, caller, fresh...); err != nil {
			return err
		}
		if added.Invited, err = s.inviteUsers(ctx, tx, caller, invitees, known); err != nil {
			return err
		}
		added.Items = make([]Member, 0, len(fresh))
		for _, c := range fresh {
			m := newMember(c.userID, req.Names[c.userID], MemberRole, now)
			if err := s.seat(ctx, tx, caller, &m, known[c.userID]); err != nil {
				return err
			}
			added.Items = append(added.Items, m)
		}
		added.Version = tx.Group().Version
		kept = keepAddition(req, added, now)
		return nil
	})
	return kept.answer(req), err
}

// candidates returns the users who are not members yet, each once.
func (s *Service) candidates(ctx context.Context, tx MemberTx, users []string, known map[string]Outsider, now time.Time) ([]candidate, error) {
	fresh := make([]candidate, 0, len(users))
	seen := make(map[string]bool, len(users))
	for i, userID := range users {
		if seen[userID] {
			continue
		}
		seen[userID] = true
		m, err := tx.Member(ctx, userID)
		if err != nil {
			return nil, err
		}
		if m != nil {
			continue
		}
		c := candidate{userID: userID, field: fmt.Sprintf("userIds[%d]", i)}
		if known[userID].Ban.holds(now) {
			return nil, c.blame(errBannedOther, "is banned from this group")
		}
		fresh = append(fresh, c)
	}
	return fresh, nil
}

// UpdateMember applies a merge patch to a member whose rank is below the caller's. Only the
// owner and back ends may change roles. It returns ErrOwnerMustTransfer for a change of the
// owner's role. A patch that changes nothing creates no event. req.RevokeInvites revokes
// the invites of an admin who becomes a member.
func (s *Service) UpdateMember(ctx context.Context, caller auth.Identity, groupID, userID string, req dto.UpdateMemberRequest) (Member, error) {
	req, err := req.Validate()
	if err != nil {
		return Member{}, err
	}
	patch := req.Patch()
	var result Member
	err = s.change(ctx, actChangeMember, caller, groupID, asked{what: "update member " + userID, with: req, answer: &result}, func(tx Tx, self *Member) error {
		target, err := reach(ctx, tx, caller, self, userID)
		if err != nil {
			return err
		}
		patched, changed, err := updateMember(target.current(s.instant()), req, patch)
		if err != nil {
			return err
		}
		if patched.Role != target.Role {
			if err := allow(actChangeRole, caller, tx.Group(), self); err != nil {
				return err
			}
			if target.Role == Owner {
				return ErrOwnerMustTransfer
			}
		}
		result = patched
		if !changed {
			return nil
		}
		if err := tx.SetMember(ctx, patched); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, MemberUpdated, caller.UserID, patched); err != nil {
			return err
		}
		if req.RevokeInvites && target.Role == Admin && patched.Role == MemberRole {
			return revokeInvitesOf(ctx, tx, caller, userID)
		}
		return nil
	})
	return result, err
}

// RemoveMember ends the membership of a member whose rank is below the caller's. It also
// revokes the invites that they made, unless keepInvites is set. It returns
// ErrOwnerMustTransfer for the owner.
func (s *Service) RemoveMember(ctx context.Context, caller auth.Identity, groupID, userID string, keepInvites bool) error {
	return s.change(ctx, actRemoveMember, caller, groupID, asked{what: "remove member " + userID}, func(tx Tx, self *Member) error {
		target, err := reach(ctx, tx, caller, self, userID)
		if err != nil {
			return err
		}
		if target.Role == Owner {
			return ErrOwnerMustTransfer
		}
		if err := unseat(ctx, tx, caller, userID, MemberRemoved); err != nil || keepInvites {
			return err
		}
		return revokeInvitesOf(ctx, tx, caller, userID)
	})
}

// reach returns the member userID if the caller, whose membership is self, may act on them.
func reach(ctx context.Context, tx MemberTx, caller auth.Identity, self *Member, userID string) (Member, error) {
	if !dto.ValidUserID(userID) {
		return Member{}, errNoMember
	}
	target, err := tx.Member(ctx, userID)
	if err != nil {
		return Member{}, err
	}
	if target == nil {
		return Member{}, errNoMember
	}
	return *target, allowOn(caller, self, *target)
}

func newMember(userID, name string, role Role, at time.Time) Member {
	return Member{UserID: userID, Name: name, Role: role, Attributes: json.RawMessage("{}"), JoinedAt: at}
}
