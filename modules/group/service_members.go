package group

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/auth"
)

// subject is the data of events that tell of a member who is no more.
type subject struct {
	UserID string `json:"userId"`
}

// Join makes the caller a member, as far as the join policy agrees; back ends
// need not ask it. Where someone has to approve them it notes their request
// instead. A repeat answers the same and changes nothing. It returns ErrBanned,
// ErrInviteRequired, ErrGroupFull or ErrLimitReached.
func (s *Service) Join(ctx context.Context, caller auth.Identity, groupID string) (Joined, error) {
	var joined Joined
	err := s.change(ctx, actJoin, caller, groupID, asked{what: "join", answer: &joined}, func(tx Tx, m *Member) error {
		if m != nil {
			joined = Joined{Member: m}
			return nil
		}
		known, err := tx.Outsiders(ctx, caller.UserID)
		if err != nil {
			return err
		}
		self := known[caller.UserID]
		if err := mayEnter(caller, self, s.instant()); err != nil {
			return err
		}
		switch policy := tx.Group().JoinPolicy; {
		case caller.Admin || policy == JoinOpen:
			if err := s.mayBeIn(ctx, tx, caller, candidate{userID: caller.UserID}); err != nil {
				return err
			}
			fresh := newMember(caller.UserID, caller.Name, MemberRole, s.instant())
			joined = Joined{Member: &fresh}
			return s.seat(ctx, tx, caller, fresh, self)
		case policy == JoinRequest:
			joined, err = s.ask(ctx, tx, caller, self)
			return err
		default:
			return ErrInviteRequired
		}
	})
	return joined, err
}

// precheck has the store read what else a user who wants to come in is asked
// for, together with their membership.
func precheck(ctx context.Context, tx Tx, userID string) error {
	_, err := tx.Outsiders(ctx, userID)
	return err
}

// seat gives m, about whom the group kept o, a seat in the group, or says that
// there is none.
func (s *Service) seat(ctx context.Context, tx Tx, caller auth.Identity, m Member, o Outsider) error {
	g := tx.Group()
	if g.Capacity != nil && g.MemberCount >= *g.Capacity {
		return ErrGroupFull
	}
	if g.MemberCount >= s.cfg.LimitMembers {
		return ErrLimitReached.WithMessage("a group on this server cannot have more members")
	}
	if o.Applicant != nil {
		if err := tx.RemoveApplicant(ctx, m.UserID); err != nil {
			return err
		}
	}
	if err := tx.AddMember(ctx, m); err != nil {
		return err
	}
	_, err := tx.Append(ctx, MemberJoined, caller.UserID, m)
	return err
}

// Leave ends the caller's membership. It returns ErrOwnerMustTransfer to the
// owner.
func (s *Service) Leave(ctx context.Context, caller auth.Identity, groupID string) error {
	return s.change(ctx, actLeave, caller, groupID, asked{what: "leave"}, func(tx Tx, m *Member) error {
		switch {
		case m == nil:
			return ErrNotMember // a back end that never joined
		case m.Role == Owner:
			return ErrOwnerMustTransfer
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

// ListedMember is a member and whether they are there: online, reconnecting or
// offline, and empty while that is not known.
type ListedMember struct {
	Member
	Status string `json:"status,omitempty" doc:"online, reconnecting or offline; absent while presence is down"`
}

// Members lists at most limit members by user id, after the given one, with
// the group's version at that moment. There are more when it returns limit.
func (s *Service) Members(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]ListedMember, int64, error) {
	if _, _, err := s.look(ctx, actRead, caller, groupID); err != nil {
		return nil, 0, err
	}
	members, version, err := s.repo.Members(ctx, groupID, after, limit)
	if err != nil {
		return nil, 0, Hide(err)
	}
	statuses, known := s.statuses(ctx, groupID)
	listed := make([]ListedMember, len(members))
	for i, m := range members {
		listed[i].Member = m
		if !known {
			continue
		}
		listed[i].Status = StatusOffline
		if status, there := statuses[m.UserID]; there {
			listed[i].Status = status
		}
	}
	return listed, version, nil
}

// Member returns one member; fault.ErrNotFound when userID is none.
func (s *Service) Member(ctx context.Context, caller auth.Identity, groupID, userID string) (Member, error) {
	_, self, err := s.look(ctx, actRead, caller, groupID)
	if err != nil {
		return Member{}, err
	}
	if self != nil && self.UserID == userID {
		return *self, nil
	}
	if !ValidUserID(userID) {
		return Member{}, errNoMember
	}
	_, m, err := s.repo.Group(ctx, groupID, userID)
	if err != nil {
		return Member{}, Hide(err)
	}
	if m == nil {
		return Member{}, errNoMember
	}
	return *m, nil
}

// AddedMembers is who became a member, and the group's version after that.
type AddedMembers struct {
	Items   []Member `json:"items" doc:"without those who were in already"`
	Version int64    `json:"version"`
}

// AddMembers makes users members, all or none. Who is in already is skipped.
// It returns ErrBanned, which names the field, ErrGroupFull or ErrLimitReached.
func (s *Service) AddMembers(ctx context.Context, caller auth.Identity, groupID string, req AddMembersRequest) (AddedMembers, error) {
	if err := req.Validate(); err != nil {
		return AddedMembers{}, err
	}
	var added AddedMembers
	err := s.change(ctx, actAddMembers, caller, groupID, asked{what: "add members", with: req, answer: &added}, func(tx Tx, _ *Member) error {
		known, err := tx.Outsiders(ctx, req.UserIDs...)
		if err != nil {
			return err
		}
		now := s.instant()
		fresh, err := s.candidates(ctx, tx, req.UserIDs, known, now)
		if err != nil {
			return err
		}
		if err := s.mayBeIn(ctx, tx, caller, fresh...); err != nil {
			return err
		}
		added.Items = make([]Member, 0, len(fresh))
		for _, c := range fresh {
			m := newMember(c.userID, "", MemberRole, now)
			if err := s.seat(ctx, tx, caller, m, known[c.userID]); err != nil {
				return err
			}
			added.Items = append(added.Items, m)
		}
		added.Version = tx.Group().Version
		return nil
	})
	return added, err
}

// candidates returns those of users, each once, who are no members yet.
func (s *Service) candidates(ctx context.Context, tx Tx, users []string, known map[string]Outsider, now time.Time) ([]candidate, error) {
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

// UpdateMember applies a merge patch to a member below the caller. Only the
// owner and back ends change roles, and nobody the owner's: that is
// ErrOwnerMustTransfer. A patch that changes nothing makes no event.
func (s *Service) UpdateMember(ctx context.Context, caller auth.Identity, groupID, userID string, req UpdateMemberRequest) (Member, error) {
	if err := req.Validate(); err != nil {
		return Member{}, err
	}
	patch := parsePatch(req.Attributes)
	var result Member
	err := s.change(ctx, actChangeMember, caller, groupID, asked{"update member " + userID, req, &result}, func(tx Tx, self *Member) error {
		target, err := reach(ctx, tx, caller, self, userID)
		if err != nil {
			return err
		}
		patched, changed, err := req.apply(target, patch)
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
		_, err = tx.Append(ctx, MemberUpdated, caller.UserID, patched)
		return err
	})
	return result, err
}

// RemoveMember ends the membership of someone below the caller. It returns
// ErrOwnerMustTransfer where that is the owner.
func (s *Service) RemoveMember(ctx context.Context, caller auth.Identity, groupID, userID string) error {
	return s.change(ctx, actRemoveMember, caller, groupID, asked{what: "remove member " + userID}, func(tx Tx, self *Member) error {
		target, err := reach(ctx, tx, caller, self, userID)
		if err != nil {
			return err
		}
		if target.Role == Owner {
			return ErrOwnerMustTransfer
		}
		return unseat(ctx, tx, caller, userID, MemberRemoved)
	})
}

// reach returns the member that the caller, self, wants to act on.
func reach(ctx context.Context, tx Tx, caller auth.Identity, self *Member, userID string) (Member, error) {
	if !ValidUserID(userID) {
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
