package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// Announcer tells the members of groups what was committed. [feed.Feed] fulfils it.
type Announcer interface {
	// Announce does not block on other nodes and never fails: the log is the
	// truth. It is called once a change, after the commit.
	Announce(events []Event)
}

// Signaler sends to the sockets in a room on every node. adapter.Owner
// fulfils it.
type Signaler interface {
	// Cast does not wait for the other nodes' server.
	Cast(ctx context.Context, env adapter.Envelope)
}

// Senders knows, without a database, who may signal to a group that somebody
// on this node follows. [feed.Feed] fulfils it.
type Senders interface {
	// MaySend reports whether the caller may, as far as this node has heard.
	// False means that the database must be asked.
	MaySend(caller auth.Identity, groupID string) bool
	// Found says that a read of the group at version showed that they may.
	Found(caller auth.Identity, groupID string, version int64)
}

// PresenceKeeper knows who is there. [presence.Presence] fulfils it.
type PresenceKeeper interface {
	// List returns who of a group is online or reconnecting, and who was
	// lately; fault.ErrUnavailable while that is not known.
	List(ctx context.Context, groupID string) ([]Present, error)
	// Count returns how many members each group has online, in the order of
	// groupIDs and in one round trip; it fails as List does.
	Count(ctx context.Context, groupIDs []string) ([]int, error)
	// SetState keeps the live state of a user with a subscribed socket on this
	// node, and tells the group's subscribers; null clears it. It returns
	// fault.ErrUnavailable when it cannot be stored.
	SetState(ctx context.Context, groupID, userID string, state json.RawMessage) error
}

// Deps is what a [Service] works with. Senders, Presence and Now may be nil.
type Deps struct {
	Repository Repository
	Log        Log
	Announcer  Announcer
	Signaler   Signaler
	Senders    Senders
	Presence   PresenceKeeper
	Now        func() time.Time
}

// Service holds the rules of groups: who may do what, and what a change must
// obey. HTTP and sockets call it and render what it returns.
//
// Every method returns validation_failed for a request that breaks a bound,
// fault.ErrNotFound for a group that does not exist or not for the caller,
// ErrNotMember or fault.ErrForbidden where the permission table says so, and
// fault.ErrUnavailable while the database does not answer. It is safe for
// concurrent use.
type Service struct {
	cfg       Config
	repo      Repository
	log       Log
	announcer Announcer
	signaler  Signaler
	senders   Senders
	presence  PresenceKeeper
	now       func() time.Time
}

// NewService returns a service. Zero values in cfg mean the defaults.
func NewService(cfg Config, deps Deps) *Service {
	s := &Service{
		cfg:       cfg.WithDefaults(),
		repo:      deps.Repository,
		log:       deps.Log,
		announcer: deps.Announcer,
		signaler:  deps.Signaler,
		senders:   deps.Senders,
		presence:  deps.Presence,
		now:       deps.Now,
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Create makes a group that the caller owns. It returns ErrLimitReached when the
// caller owns, or is in, as many groups as allowed.
func (s *Service) Create(ctx context.Context, caller auth.Identity, req CreateRequest) (Group, error) {
	if err := req.Validate(s.cfg.LimitMembers, s.now()); err != nil {
		return Group{}, err
	}
	req = req.withDefaults()
	id, err := uuid.NewV7()
	if err != nil {
		return Group{}, fmt.Errorf("make a group id: %w", err)
	}
	now := s.instant()
	g := Group{
		ID:          id.String(),
		Name:        req.Name,
		Description: req.Description,
		Visibility:  req.Visibility,
		JoinPolicy:  req.JoinPolicy,
		Capacity:    req.Capacity,
		Attributes:  req.Attributes,
		MemberCount: 1,
		OwnerID:     caller.UserID,
		Version:     1,
		Revision:    1,
		CreatedAt:   now,
		UpdatedAt:   now,

		EndsAt:       req.EndsAt,
		RemindBefore: req.RemindBefore,
	}
	request := asked{what: "create", with: req, answer: &g}
	receipt, err := request.receipt(ctx, caller)
	if err != nil {
		return Group{}, err
	}
	created, events, err := s.repo.Create(ctx, g, newMember(caller.UserID, caller.Name, Owner, now), s.mayCreate(caller), receipt)
	if err != nil {
		err = s.settle(ctx, receipt, request, err)
		return g, err
	}
	s.announcer.Announce(events)
	return created, nil
}

// Get returns a group.
func (s *Service) Get(ctx context.Context, caller auth.Identity, groupID string) (Group, error) {
	g, _, err := s.look(ctx, actView, caller, groupID)
	return g, err
}

// Update applies a merge patch. revision, when not nil, is the revision that
// the caller has read: ErrVersionConflict when it is no longer the group's. A
// patch that changes nothing makes no event. It returns ErrGroupFull when the
// capacity would fall below the members there are.
func (s *Service) Update(ctx context.Context, caller auth.Identity, groupID string, revision *int64, req UpdateRequest) (Group, error) {
	if err := req.Validate(s.cfg.LimitMembers, s.now()); err != nil {
		return Group{}, err
	}
	patch := parsePatch(req.Attributes)
	var g Group
	request := asked{what: "update", with: []any{req, req.RemoveCapacity, req.RemoveEnd, revision}, answer: &g}
	err := s.change(ctx, actUpdate, caller, groupID, request, func(tx Tx, _ *Member) error {
		g = tx.Group()
		if err := matches(g, revision); err != nil {
			return err
		}
		if g.EndedAt != nil && req.EndsAt == nil && !req.RemoveEnd {
			return ErrGroupEnded
		}
		patched, changes, err := req.apply(g, patch)
		if err != nil || len(changes) == 0 {
			return err
		}
		patched.UpdatedAt = s.instant()
		if err := tx.SetGroup(ctx, patched); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, GroupUpdated, caller.UserID, changes); err != nil {
			return err
		}
		if rescheduled(changes) {
			if err := tx.Schedule(ctx, patched.NextTimer(s.now())); err != nil {
				return err
			}
		}
		g = tx.Group()
		return nil
	})
	return g, err
}

// Delete deletes a group. revision is as in [Service.Update].
func (s *Service) Delete(ctx context.Context, caller auth.Identity, groupID string, revision *int64) error {
	return s.change(ctx, actDelete, caller, groupID, asked{what: "delete", with: revision}, func(tx Tx, _ *Member) error {
		if err := matches(tx.Group(), revision); err != nil {
			return err
		}
		if err := tx.Delete(ctx); err != nil {
			return err
		}
		_, err := tx.Append(ctx, GroupDeleted, caller.UserID, struct{}{})
		return err
	})
}

// ListPublic lists public groups whose name contains query, newest first, and
// those older than the group before. There are more when it returns limit.
func (s *Service) ListPublic(ctx context.Context, query, before string, limit int) ([]Group, error) {
	var m mistakes
	m.text("q", query, 0, maxQuery, "")
	if err := m.err(); err != nil {
		return nil, err
	}
	return s.repo.PublicGroups(ctx, query, before, limit)
}

// ListMine lists the caller's groups, newest first, and those older than the
// group before. There are more when it returns limit.
func (s *Service) ListMine(ctx context.Context, caller auth.Identity, before string, limit int) ([]Membership, error) {
	mine, err := s.repo.UserGroups(ctx, caller.UserID, before, limit)
	if err != nil || s.presence == nil || len(mine) == 0 {
		return mine, err
	}
	ids := make([]string, len(mine))
	for i, m := range mine {
		ids[i] = m.ID
	}
	online, err := s.presence.Count(ctx, ids)
	if err != nil {
		return mine, nil //nolint:nilerr // the list is worth more than who is there
	}
	for i := range mine {
		mine[i].Online = &online[i]
	}
	return mine, nil
}

// look reads a group and the caller's membership for an action that changes
// nothing.
func (s *Service) look(ctx context.Context, a action, caller auth.Identity, groupID string) (Group, *Member, error) {
	if !ValidGroupID(groupID) {
		return Group{}, nil, fault.ErrNotFound
	}
	g, m, err := s.repo.Group(ctx, groupID, caller.UserID)
	if err != nil {
		return Group{}, nil, Hide(err)
	}
	if err := allow(a, caller, g, m); err != nil {
		return Group{}, nil, err
	}
	return g, m, nil
}

// change runs fn in a transaction on a group once the caller's membership m,
// read inside it, allows the action, and announces what fn appended. fn may
// run more than once, and does not count when the caller asked before. Others
// wait for the transaction, so fn does not parse what the client sent: whoever
// calls change has done that.
func (s *Service) change(ctx context.Context, a action, caller auth.Identity, groupID string, request asked, fn func(tx Tx, m *Member) error) error {
	if !ValidGroupID(groupID) {
		return fault.ErrNotFound
	}
	request.what += " " + groupID
	receipt, err := request.receipt(ctx, caller)
	if err != nil {
		return err
	}
	var allowed bool
	events, err := s.repo.Change(ctx, groupID, func(tx Tx) error {
		allowed = false
		if a == actJoin {
			if err := precheck(ctx, tx, caller.UserID); err != nil {
				return err
			}
		}
		m, err := tx.Member(ctx, caller.UserID)
		if err != nil {
			return err
		}
		if err := allow(a, caller, tx.Group(), m); err != nil {
			return err
		}
		if err := goesOn(a, tx.Group()); err != nil {
			return err
		}
		allowed = true
		if err := fn(tx, m); err != nil {
			return err
		}
		return request.keep(ctx, tx, receipt)
	})
	if err != nil && !allowed {
		err = Hide(err)
	}
	if err != nil {
		return s.settle(ctx, receipt, request, err)
	}
	if len(events) > 0 {
		s.announcer.Announce(events)
	}
	return nil
}

// Hide makes the not_found of a store the same as that of the permission
// table, so that nobody can tell a group that does not exist from one that they
// may not see.
func Hide(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return fault.ErrNotFound
	}
	return err
}

func matches(g Group, revision *int64) error {
	if revision != nil && *revision != g.Revision {
		return ErrVersionConflict
	}
	return nil
}

// instant returns the time now as the store keeps it.
func (s *Service) instant() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
